"""Grows topics from disciplines: the teacher names subjects, then sessions, then concepts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import SeveralTurns
from textbookgen_textbooks.together import those_that_worked

_BELOW = {"discipline": "subject", "subject": "session", "session": "concept"}


class Names(Form):
    """What a teacher lists."""

    names: list[str]


class Taxonomy(SeveralTurns):
    """Writes topics, one document each, as a tree of discipline, subject, session and concept.

    phi-1.5 (arXiv 2309.05463) needed 20,000 topics as seeds and says only that they were "carefully selected"; the tree is
    that of GLAN (126 disciplines; 100 to 200 subjects, 10 to 30 sessions, about 5 concepts). A draw is one discipline. A
    branch that the teacher refuses or garbles is left out; the others stand.

    The text is the concept in its place (`geology/volcanoes/magma/viscosity`), a line of what the sampler `taxonomy` reads;
    columns `textbooks.discipline`, `textbooks.subject`, `textbooks.session`, `textbooks.topic` (the concept).
    """

    name: ClassVar[str] = "taxonomy"
    task: ClassVar[str] = "taxonomy"
    kind: ClassVar[str] = "topic"

    prompt: Annotated[str, Template] = Field("phi15/taxonomy.md.j2", description="name of the prompt template")
    subjects: int = Field(10, gt=0, description="subjects of each discipline")
    sessions: int = Field(10, gt=0, description="sessions of each subject, as a course would have them")
    concepts: int = Field(5, gt=0, description="concepts of each session")

    def requests(self) -> float:
        """One for the discipline, one a subject, one a session."""
        return 1.0 + self.subjects + self.subjects * self.sessions

    def written(self) -> float:
        """Every concept."""
        return float(self.subjects * self.sessions * self.concepts)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The concepts below the discipline that was drawn (`draw["discipline"]`).

        Raises:
            UnusableReply: no branch came to a concept.
        """
        rows = await self._grown({"discipline": str(draw["discipline"])}, "discipline", ask)
        if not rows:
            raise UnusableReply("the discipline grew no concepts")
        return [self._row(row) for row in rows]

    async def _grown(self, path: dict[str, str], level: str, ask: Ask) -> list[dict[str, str]]:
        """Every path from here down to a concept."""
        below = _BELOW.get(level)
        if below is None:
            return [path]
        names = await self._listed(path, below, ask)
        branches = await those_that_worked(self._grown({**path, below: name}, below, ask) for name in names)
        return [row for branch in branches for row in branch]

    async def _listed(self, path: dict[str, str], below: str, ask: Ask) -> list[str]:
        count = {"subject": self.subjects, "session": self.sessions, "concept": self.concepts}[below]
        draw = {"path": path, "level": below, "count": count}
        result = (await filled(ask, Names, self.prompt, draw, self.task)).names
        distinct = {" ".join(name.lower().split()): _plain(name) for name in reversed(result) if name.strip()}
        return list(reversed(distinct.values()))[:count]

    def _row(self, path: dict[str, str]) -> dict[str, Any]:
        own = {f"textbooks.{'topic' if level == 'concept' else level}": name for level, name in path.items()}
        return {"text": "/".join(path.values()), **own}


def _plain(name: str) -> str:
    """A name on one line that a path can hold."""
    return " ".join(name.replace("/", " or ").split())
