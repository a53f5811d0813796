"""Critique and revision: a draft is graded by a rubric and written again until every criterion is met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Input, Labels, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import Selective, SeveralTurns
from textbookgen_textbooks.replies import prose


class Mark(Form):
    """One criterion's score, 1 to 5, and what would raise it."""

    criterion: str
    score: int = Field(ge=1, le=5)
    suggestion: str


class Critique(Form):
    """What a critic says of a draft."""

    marks: list[Mark]


@dataclass(frozen=True)
class Rubric:
    """What a draft is graded by, and when it is good: every criterion has a score of at least `good`."""

    criteria: tuple[str, ...]
    good: int
    rounds: int
    critique_prompt: str
    revise_prompt: str


@dataclass(frozen=True)
class Revised:
    """Where the rounds led: the text, how often it was written again, and its lowest score."""

    text: str
    rounds: int
    lowest: int
    met: bool


async def revised(text: str, rubric: Rubric, draw: Draw, ask: Ask) -> Revised:
    """Has a draft graded, and written again, until it is good or `rounds` revisions were made.

    The last text is graded too, so that what is said of it is true of it.

    Raises:
        UnusableReply: a critique leaves out a criterion, or cannot be read.
    """
    done = 0
    while True:
        critique = await _graded(text, rubric, draw, ask)
        lowest = min(mark.score for mark in critique)
        if lowest >= rubric.good or done == rubric.rounds:
            return Revised(text, done, lowest, lowest >= rubric.good)
        done += 1
        full = {**draw, "draft": text, "marks": [mark.model_dump() for mark in critique], "round": done}
        text = prose(await ask(ask.render(rubric.revise_prompt, full), draw=full, task="revise"))


async def _graded(text: str, rubric: Rubric, draw: Draw, ask: Ask) -> list[Mark]:
    """One mark for each criterion, in the rubric's order."""
    full = {**draw, "draft": text, "criteria": list(rubric.criteria)}
    marks = {
        mark.criterion.strip().lower(): mark
        for mark in (await filled(ask, Critique, rubric.critique_prompt, full, "critique")).marks
    }
    missing = [item for item in rubric.criteria if item.lower() not in marks]
    if missing:
        raise UnusableReply("the critique leaves out a criterion")
    return [marks[item.lower()] for item in rubric.criteria]


class Revise(Selective, SeveralTurns):
    """Writes documents in rounds of draft, critique and revision (phi-4, arXiv 2412.08905, "self-revision").

    Without `from` the draft is asked for with `prompt`; with `from` the documents that flow in are the drafts, unless
    `draft_anew`. A document whose rubric is still not met after `rounds` revisions is refused, unless `keep_unmet`. The
    paper gives no stop rule; this one is ours. Columns: `textbooks.rounds`, `textbooks.lowest_score`.
    """

    name: ClassVar[str] = "revise"
    task: ClassVar[str] = "draft"
    kind: ClassVar[str] = "revised"

    prompt: Annotated[str, Template] = Field("phi15/section.md.j2", description="prompt template for the draft")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="stages above whose documents are written again"
    )
    critique_prompt: Annotated[str, Template] = Field("phi4/critique.md.j2", description="prompt template for the critic")
    revise_prompt: Annotated[str, Template] = Field("phi4/revise.md.j2", description="prompt template for writing anew")
    rubric: tuple[str, ...] = Field(
        ("factual accuracy", "validity of each step", "self-containedness", "depth", "clarity"),
        min_length=1,
        description="criteria that the critic scores from 1 to 5",
    )
    good: int = Field(4, ge=1, le=5, description="the score that every criterion must have")
    rounds: int = Field(3, ge=0, description="revisions at most")
    draft_anew: bool = Field(
        False, description="with `from`: ask for a draft about each document instead of taking it as the draft"
    )
    keep_unmet: bool = Field(False, description="keep a document whose rubric was not met in the last round")

    def requests(self) -> float:
        """A draft, a critique of it, and a revision and another critique each round."""
        return 2.0 + 2 * self.rounds

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The revised document.

        Raises:
            UnusableReply: the rubric was not met, or a reply cannot be read.
        """
        result = await revised(await self._draft(draw, ask), self._rubric(), draw, ask)
        if not result.met and not self.keep_unmet:
            raise UnusableReply("the rubric was not met")
        return [{"text": result.text, "textbooks.rounds": result.rounds, "textbooks.lowest_score": result.lowest}]

    async def _draft(self, draw: Draw, ask: Ask) -> str:
        if "document" in draw and not self.draft_anew:
            return str(draw["document"]["text"])
        return prose(await ask(ask.render(self.prompt, draw)))

    def _rubric(self) -> Rubric:
        return Rubric(self.rubric, self.good, self.rounds, self.critique_prompt, self.revise_prompt)
