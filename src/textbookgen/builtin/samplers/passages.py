"""The sampler `passages`: an excerpt of a document of an earlier stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Documents
from textbookgen.api.errors import RunError
from textbookgen.api.hashing import stable_hash
from textbookgen.api.line_file import LineFile
from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.builtin.samplers.fields import digest, walk


class PassagesSampler(Sampler):
    """Draws an excerpt of each document of earlier stages once, in random order, before drawing any again.

    phi-1.5 (arXiv 2309.05463) adds samples of web text to its prompts for diversity; Cosmopedia prompts with extracts of
    1,000 characters. Unlike a generator's `from`, this works with `count`, with a target, and inside a `product`. Each
    document yields one excerpt, always the same; the excerpts are stored on disk.
    """

    name: ClassVar[str] = "passages"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above from whose documents passages are taken"
    )
    field: str = Field("passage", description="name of the variable in prompts; `FIELD_id` is the id of its document")
    words: int = Field(150, gt=0, description="length of a passage in words, joined by single spaces")
    min_words: int = Field(20, gt=0, description="skip documents with fewer words")
    max_passages: int = Field(100_000, gt=0, description="maximum number of passages, from a random sample of the documents")
    seed: int = Field(0, description="another seed takes other passages, in another order")
    _passages: LineFile | None = PrivateAttr(None)

    def reads(self) -> tuple[str, ...]:
        """Return the stages whose documents it reads."""
        return self.inputs

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Write the passages to a file, unless an earlier run of the step did, and index its lines.

        Raises:
            RunError: no document is long enough.
        """
        tables = [table for label in self.inputs if isinstance(table := inputs[label], Documents)]
        key = digest(self.inputs, self.field, self.words, self.min_words, self.max_passages, self.seed)
        excerpts = self._excerpts(Documents.concatenate(tables))
        lines = (json.dumps([document, passage], ensure_ascii=False) for document, passage in excerpts)
        self._passages = LineFile.write(folder / f"passages-{key[:12]}.jsonl", lines)
        if not self._passages:
            raise RunError(f"no document of '{', '.join(self.inputs)}' has {self.min_words} words", place="sampler")

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return one passage and the id of its document."""
        if self._passages is None:  # not prepared: a placeholder of the right length, for cost estimates
            return {self.field: " ".join(["passage"] * self.words), f"{self.field}_id": ""}
        document, passage = json.loads(self._passages[walk(n, len(self._passages), f"{self.field}/{self.seed}")])
        return {self.field: passage, f"{self.field}_id": document}

    def _excerpts(self, table: Documents) -> Iterator[tuple[str, str]]:
        """Yield document id and excerpt for the `max_passages` documents with the smallest hashes."""
        limit = self._limit(table)
        for frame in table.frames(["id", "text"]):
            for document, text in frame.iter_rows():
                words = (text or "").split()
                if self._hash(document) > limit or len(words) < self.min_words:
                    continue
                start = stable_hash(f"{self.seed}/stretch/{document}") % (max(0, len(words) - self.words) + 1)
                yield document, " ".join(words[start : start + self.words])

    def _limit(self, table: Documents) -> int:
        """Return the largest hash of a document to use, from one pass over word counts and ids."""
        lowest = pl.Series("hash", [], dtype=pl.UInt64)
        for part in table.parts:
            long = part.scan().filter(pl.col("text").str.count_matches(r"\S+") >= self.min_words).select("id").collect()
            hashes = pl.Series("hash", [self._hash(document) for document in long["id"]], dtype=pl.UInt64)
            lowest = pl.concat([lowest, hashes]).bottom_k(self.max_passages)
        return max(lowest.to_list(), default=0)

    def _hash(self, document: str) -> int:
        return stable_hash(f"{self.seed}/passages/{document}")
