"""Passages rewritten as exercises, discussions, worked reasoning and tutorials."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen.api.reply_text import read_prose
from textbookgen_textbooks.concurrency import gather_usable
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments

Style = Literal["exercise", "discussion", "reasoning", "tutorial"]

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Rewrite(NeedsDocuments, MultiRequest):
    """Rewrite each input document once per style (phi-4, arXiv 2412.08905, "rewrite and augment").

    A rewrite that loses facts is rejected, as measured by numbers: at least `min_numbers_kept` of the different numbers of
    the passage must occur in it. Column `textbooks.style`.
    """

    name: ClassVar[str] = "rewrite"
    task: ClassVar[str] = "rewrite"
    kind: ClassVar[str] = "rewrite"

    prompt: Annotated[str, Template] = Field("phi4/rewrite.md.j2", description="prompt template")
    styles: tuple[Style, ...] = Field(
        ("exercise", "discussion", "reasoning", "tutorial"), min_length=1, description="forms that each passage is rewritten in"
    )
    audience: str = Field(
        "a first-year university student", description="reader of the rewritten text; a drawn `audience` takes precedence"
    )
    min_numbers_kept: float = Field(0.8, ge=0, le=1, description="share of the passage's numbers that a rewrite must have")

    def max_requests(self) -> float:
        """Return one request per style."""
        return float(len(self.styles))

    def max_documents(self) -> float:
        """Return one document per style."""
        return float(len(self.styles))

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the rewrites that kept the numbers.

        Raises:
            UnusableReply: none did.
        """
        rows = await gather_usable(self._rewrite(style, draw, ask) for style in self.styles)
        if not rows:
            raise UnusableReply("no rewrite kept the numbers of the passage")
        return rows

    async def _rewrite(self, style: Style, draw: Draw, ask: Ask) -> dict[str, Any]:
        variables = {"audience": self.audience, **draw, "style": style}
        text = read_prose(await ask(ask.render(self.prompt, variables), draw=variables, task=self.task))
        if share_of_numbers_kept(str(draw["document"]["text"]), text) < self.min_numbers_kept:
            raise UnusableReply("the rewrite lost numbers")
        return {"text": text, "textbooks.style": style}


def share_of_numbers_kept(passage: str, text: str) -> float:
    """Return the share of a passage's different numbers that occur in a text; 1 if the passage has none."""
    required = {_plain(number) for number in _NUMBER.findall(passage)}
    return len(required & {_plain(number) for number in _NUMBER.findall(text)}) / len(required) if required else 1.0


def _plain(number: str) -> str:
    return number.replace(",", "")
