"""Self-revision: documents written in rounds of draft, critique and revision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Input, Labels, Template, UnusableReply
from textbookgen.api.reply_text import read_prose
from textbookgen_textbooks.critique import Rubric, revise
from textbookgen_textbooks.mixins import MultiRequest, Selective


class SelfRevision(Selective, MultiRequest):
    """Write documents in rounds of draft, critique and revision (phi-4, arXiv 2412.08905, "self-revision").

    Without `from`, `prompt` asks for the draft. With `from`, input documents are the drafts or, with `documents_are =
    "source"`, `prompt` asks for a draft about each. A document that does not meet the rubric after `max_rounds` revisions is
    rejected, unless `keep_unmet`. The paper gives no stopping rule; this one is ours. Columns: `textbooks.rounds`,
    `textbooks.lowest_score`.
    """

    name: ClassVar[str] = "self-revision"
    task: ClassVar[str] = "draft"
    kind: ClassVar[str] = "revision"

    prompt: Annotated[str, Template] = Field("phi15/section.md.j2", description="prompt template that asks for the draft")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="earlier stages whose documents are drafts or sources"
    )
    documents_are: Literal["draft", "source"] = Field(
        "draft", description="what an input document is: the draft, or the `document` that `prompt` asks for a draft about"
    )
    critique_prompt: Annotated[str, Template] = Field(
        "phi4/critique.md.j2", description="prompt template that asks for a critique"
    )
    revise_prompt: Annotated[str, Template] = Field("phi4/revise.md.j2", description="prompt template that asks for a revision")
    rubric: tuple[str, ...] = Field(
        ("factual accuracy", "validity of each step", "self-containedness", "depth", "clarity"),
        min_length=1,
        description="criteria, each scored from 1 to 5",
    )
    min_score: int = Field(4, ge=1, le=5, description="score that every criterion must reach")
    max_rounds: int = Field(3, ge=0, description="revisions per document")
    keep_unmet: bool = Field(False, description="keep documents that do not meet the rubric after the last round")

    def max_requests(self) -> float:
        """Return a draft, its critique, and a revision with another critique per round."""
        return 2.0 + 2 * self.max_rounds

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the revised document.

        Raises:
            UnusableReply: the rubric is not met, or a reply cannot be read.
        """
        draft, assignment = await self._draft(draw, ask)
        revision = await revise(draft, self._rubric(), {**draw, "assignment": assignment}, ask)
        if not revision.is_met and not self.keep_unmet:
            raise UnusableReply("the rubric is not met")
        return [{"text": revision.text, "textbooks.rounds": revision.rounds, "textbooks.lowest_score": revision.lowest_score}]

    async def _draft(self, draw: Draw, ask: Ask) -> tuple[str, str | None]:
        """The draft, and the prompt that asked for it, which critics judge it by; None if the draft is a document."""
        if "document" in draw and self.documents_are == "draft":
            return str(draw["document"]["text"]), None
        assignment = ask.render(self.prompt, draw)
        return read_prose(await ask(assignment)), assignment

    def _rubric(self) -> Rubric:
        return Rubric(self.rubric, self.min_score, self.max_rounds, self.critique_prompt, self.revise_prompt)
