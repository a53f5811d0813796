"""Topics grown from disciplines: the teacher lists subjects, then sessions, then concepts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen_textbooks.concurrency import gather_usable
from textbookgen_textbooks.json_replies import ReplySchema, ask_json
from textbookgen_textbooks.mixins import MultiRequest

_LEVEL_BELOW = {"discipline": "subject", "subject": "session", "session": "concept"}


class NameList(ReplySchema):
    """The names one level below a path."""

    names: list[str]


class Taxonomy(MultiRequest):
    """Write topics, one document each, as a tree of disciplines, subjects, sessions and concepts.

    phi-1.5 (arXiv 2309.05463) used 20,000 topics as seeds and says only that they were "carefully selected"; the tree is
    GLAN's (arXiv 2402.13064: 126 disciplines; 100 to 200 subjects, 10 to 30 sessions, about 5 concepts). Each draw is one
    discipline. A branch whose request is refused or whose reply cannot be read is left out; the rest is kept.

    The text is the path to the concept (`geology/volcanoes/magma/viscosity`), which the samplers `taxonomy` and
    `textbooks/taxonomy-topics` read; columns `textbooks.discipline`, `textbooks.subject`, `textbooks.session`,
    `textbooks.topic` (the concept). Each request names the other branches of the level above, so that a teacher does not
    list their content again; topics that it repeats all the same are dropped by `textbooks/distinct-topics`.
    """

    name: ClassVar[str] = "taxonomy"
    task: ClassVar[str] = "taxonomy"
    kind: ClassVar[str] = "topic"
    version: ClassVar[int] = 2

    prompt: Annotated[str, Template] = Field("phi15/taxonomy.md.j2", description="prompt template")
    subjects: int = Field(10, gt=0, description="subjects per discipline")
    sessions: int = Field(10, gt=0, description="sessions per subject")
    concepts: int = Field(5, gt=0, description="concepts per session")

    def max_requests(self) -> float:
        """Return one request for the discipline, one per subject and one per session."""
        return 1.0 + self.subjects + self.subjects * self.sessions

    def max_documents(self) -> float:
        """Return the number of concepts of a full tree."""
        return float(self.subjects * self.sessions * self.concepts)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the concepts of the drawn discipline (`draw["discipline"]`).

        Raises:
            UnusableReply: no branch has a concept.
        """
        paths = await self._paths_below({"discipline": str(draw["discipline"])}, "discipline", ask)
        if not paths:
            raise UnusableReply("the discipline has no concepts")
        return [_topic_row(path) for path in paths]

    async def _paths_below(
        self, path: dict[str, str], level: str, ask: Ask, siblings: tuple[str, ...] = ()
    ) -> list[dict[str, str]]:
        """Every path from here to a concept; `siblings` are the other names of the level."""
        below = _LEVEL_BELOW.get(level)
        if below is None:
            return [path]
        names = await self._names(path, below, siblings, ask)
        branches = await gather_usable(
            self._paths_below({**path, below: name}, below, ask, tuple(other for other in names if other != name))
            for name in names
        )
        return [path for branch in branches for path in branch]

    async def _names(self, path: dict[str, str], level: str, siblings: tuple[str, ...], ask: Ask) -> list[str]:
        """Different names one level below a path, in the teacher's order, at most as many as requested."""
        count = {"subject": self.subjects, "session": self.sessions, "concept": self.concepts}[level]
        variables = {"path": path, "level": level, "count": count, "siblings": list(siblings)}
        names = (await ask_json(ask, NameList, self.prompt, variables, self.task)).names
        plain = [path_name for name in names if (path_name := _path_name(name))]
        distinct = {name.lower(): name for name in reversed(plain)}
        return list(reversed(distinct.values()))[:count]


def _topic_row(path: dict[str, str]) -> dict[str, Any]:
    columns = {f"textbooks.{'topic' if level == 'concept' else level}": name for level, name in path.items()}
    return {"text": "/".join(path.values()), **columns}


def path_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a topic from its discipline down: from its columns, or else from the path in its text."""
    names = [row.get(f"textbooks.{level}") for level in ("discipline", "subject", "session", "topic")]
    known = tuple(str(name) for name in names if name)
    return known if row.get("textbooks.topic") else tuple(filter(None, map(str.strip, str(row["text"]).split("/"))))


def _path_name(name: str) -> str:
    """A name on one line, without numbering, formatting and the slash that separates the names of a path."""
    plain = _MARKS.sub("", name.replace("/", " or ")).strip(" *_`\"'“”")
    return " ".join(plain.split()).rstrip(".:;")


#: What models put before the names of a list although they are asked not to.
_MARKS = re.compile(
    r"^\s*(?:[-*•]\s+|\(?\d+(?:\.\d+)*[.):]\s+|\d+(?:\.\d+)+\s+|(?:subject|session|concept|topic|module|unit|lecture|week)\s+\d+\s*[:.–-]\s*)+",
    re.IGNORECASE,
)
