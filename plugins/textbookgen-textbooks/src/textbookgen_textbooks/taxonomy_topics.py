"""Samplers of disciplines, and of the topics of a taxonomy with styles and audiences that suit them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field, PrivateAttr

from textbookgen import AcceptedStats, Artifact, Documents, Input, Labels, RunError, Sampler
from textbookgen.api.line_file import LineFile
from textbookgen_textbooks.disciplines import audiences_for, disciplines, styles_for
from textbookgen_textbooks.taxonomy import path_of
from textbookgen_textbooks.word_lists import list_entries


class Disciplines(Sampler):
    """Draw `discipline`, each of the plugin's 126 once before any is drawn again, for `textbooks/taxonomy`.

    126 is also the number of disciplines of GLAN (arXiv 2402.13064); the list is ours.
    """

    name: ClassVar[str] = "disciplines"

    disciplines: tuple[str, ...] = Field((), description="disciplines instead of the plugin's")

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return one discipline, in the order of the list."""
        names = self.disciplines or disciplines()
        return {"discipline": names[n % len(names)]}


class TaxonomyTopics(Sampler):
    """Draw the topics of `textbooks/taxonomy`, with an audience and a style that suit the discipline of each.

    Each topic is drawn once, in random order, before any is drawn again, then with another audience and style. Variables:
    `topic`, `course` (the path above it, with ` > ` between its levels), `discipline`, `topic_id` (of the document),
    `audience`, `reader_needs`, `style`, `style_requirement`, and `persona` (or null). Combine it with the sampler `passages` in
    a `product` for the topic x passage x style of phi-1.5 (arXiv 2309.05463), whose prompts have samples of web text for
    diversity.

    Input documents may also be paths such as `geology/volcanoes/magma/viscosity`, one per document: a taxonomy that was
    exported, or written by hand.
    """

    name: ClassVar[str] = "taxonomy-topics"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose documents are topics"
    )
    persona_share: float = Field(0.25, ge=0, le=1, description="share of sections with a persona")
    seed: int = Field(0, description="another seed gives another order of the topics, and other styles")

    _topics: LineFile | None = PrivateAttr(None)

    def reads(self) -> tuple[str, ...]:
        """Return the stages whose documents it reads."""
        return self.inputs

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Write the paths of the topics to a file, in the order in which they are drawn, and index its lines.

        Raises:
            RunError: there are no topics.
        """
        key = hashlib.blake2b(f"{self.inputs}/{self.seed}".encode(), digest_size=6).hexdigest()
        tables = [table for label in self.inputs if isinstance(table := inputs[label], Documents)]
        lines = (line for _, line in sorted(self._paths(Documents.concatenate(tables))))
        self._topics = LineFile.write(folder / f"topics-{key}.jsonl", lines)
        if not self._topics:
            raise RunError(f"'{', '.join(self.inputs)}' has no topics", place="sampler")

    def _paths(self, table: Documents) -> Iterator[tuple[str, str]]:
        """Yield a key for the order, and a line, for each topic."""
        for frame in table.frames():
            for row in frame.iter_rows(named=True):
                line = json.dumps([row["id"], list(path_of(row))], ensure_ascii=False)
                yield hashlib.blake2b(f"{self.seed}/{row['id']}".encode(), digest_size=8).hexdigest(), line

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the variables of one section."""
        topic_id, path = self._topic(n)
        discipline = path[0] if len(path) > 1 else ""
        audience, style = rng.choice(audiences_for(discipline)), rng.choice(styles_for(discipline))
        return {
            "topic": path[-1],
            "course": " > ".join(path[:-1]),
            "discipline": discipline,
            "topic_id": topic_id,
            "audience": audience.name,
            "reader_needs": audience.requirement,
            "style": style.name,
            "style_requirement": style.requirement,
            "persona": rng.choice(list_entries("personas")) if rng.random() < self.persona_share else None,
        }

    def _topic(self, n: int) -> tuple[str, tuple[str, ...]]:
        if self._topics is None:  # not prepared: a placeholder for cost estimates
            return "", ("discipline", "a subject of it", "a session of the subject", "a topic of the session")
        topic_id, path = json.loads(self._topics[n % len(self._topics)])
        return topic_id, tuple(path)
