"""Turns passages into exercises, discussions, worked reasoning and tutorials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen_textbooks.kinds import AboutDocuments, SeveralTurns
from textbookgen_textbooks.replies import prose
from textbookgen_textbooks.together import those_that_worked

Style = Literal["exercise", "discussion", "reasoning", "tutorial"]

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Rewrite(AboutDocuments, SeveralTurns):
    """Writes each document that flows in anew, once in each style (phi-4, arXiv 2412.08905, "rewrite and augment").

    A rewriting that loses the passage's numbers is refused: at least `numbers_kept` of its different numbers must come up
    again. Column `textbooks.style`.
    """

    name: ClassVar[str] = "rewrite"
    task: ClassVar[str] = "rewrite"
    kind: ClassVar[str] = "rewrite"

    prompt: Annotated[str, Template] = Field("phi4/rewrite.md.j2", description="name of the prompt template")
    styles: tuple[Style, ...] = Field(
        ("exercise", "discussion", "reasoning", "tutorial"), min_length=1, description="what each passage is turned into"
    )
    audience: str = Field(
        "a student in the first year of university", description="who the rewritten text is for; a drawn one goes first"
    )
    numbers_kept: float = Field(0.8, ge=0, le=1, description="share of a passage's numbers that must come up again")

    def requests(self) -> float:
        """One a style."""
        return float(len(self.styles))

    def written(self) -> float:
        """One a style."""
        return float(len(self.styles))

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The rewritings that kept the numbers.

        Raises:
            UnusableReply: none did.
        """
        rows = await those_that_worked(self._rewritten(style, draw, ask) for style in self.styles)
        if not rows:
            raise UnusableReply("no rewriting kept what the passage says")
        return rows

    async def _rewritten(self, style: Style, draw: Draw, ask: Ask) -> dict[str, Any]:
        full = {"audience": self.audience, **draw, "style": style}
        text = prose(await ask(ask.render(self.prompt, full), draw=full, task=self.task))
        if share_kept(str(draw["document"]["text"]), text) < self.numbers_kept:
            raise UnusableReply("the rewriting lost numbers")
        return {"text": text, "textbooks.style": style}


def share_kept(passage: str, text: str) -> float:
    """The share of a passage's different numbers that come up in a text; 1 if the passage has none."""
    wanted = {_plain(item) for item in _NUMBER.findall(passage)}
    return len(wanted & {_plain(item) for item in _NUMBER.findall(text)}) / len(wanted) if wanted else 1.0


def _plain(number: str) -> str:
    return number.replace(",", "")
