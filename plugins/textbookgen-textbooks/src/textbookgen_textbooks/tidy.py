"""Takes off what teachers put around a text: greetings, announcements, offers of help."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Input, Labels, Transform, document_id

# A line is taken off whole, so what it may hold besides the stock words is bounded: a paragraph is no greeting.
_OPENINGS = (
    r"(?:sure|certainly|of course|absolutely|okay|great|gladly)[!,.:].{0,120}",
    r"(?:hello|hi|hey|greetings|welcome)\b.{0,80}[!:]",
    r"dear (?:reader|student)s?\b.{0,80}",
    r"(?:here is|here's|here are|below is|the following is)\b.{0,120}:",
    r"my name is\b.{0,80}\b(?:i|you)\b.{0,80}",
    r"(?:i am|i'm|we are|we're) (?:so |very )?(?:thrilled|excited|happy|delighted|glad) to\b.{0,160}",
    r"in this (?:chapter|section|lesson|article|post|tutorial|unit),? (?:we|you|i)(?:'ll| will| shall| are going to)\b.{0,200}",
)
_CLOSINGS = (
    r"(?:i hope|hope) (?:this|that|you)\b.{0,160}",
    r"(?:let me know|feel free|do not hesitate|don't hesitate)\b.{0,160}",
    r"(?:happy|have fun|enjoy|good luck)\b.{0,60}!",
    r"in the next (?:chapter|section|lesson|article|post|tutorial|unit)\b.{0,160}",
    r"would you like me to\b.{0,160}\?",
)


class Tidy(Transform):
    """Takes stock openings and closings off texts, a line at a time; what stands between is not touched.

    An open replication of phi-1.5's data (Cosmopedia) found that its teacher opened so often in the same ways that they had
    to be taken off afterwards. A text that was changed is a new document and names its parent.
    """

    name: ClassVar[str] = "tidy"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose texts are tidied")
    openings: tuple[str, ...] = Field((), description="further regular expressions for lines that a text must not begin with")
    closings: tuple[str, ...] = Field((), description="further regular expressions for lines that a text must not end with")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The tidied texts; a text of which nothing is left stays as it was."""
        first, last = _lines((*_OPENINGS, *self.openings)), _lines((*_CLOSINGS, *self.closings))
        texts = [tidied(text, first, last) for text in docs["text"]]
        changed = [new != old for new, old in zip(texts, docs["text"], strict=True)]
        was = docs["parents"].to_list() if "parents" in docs.columns else [[] for _ in changed]
        ids = [document_id("tidy", id) if new else id for id, new in zip(docs["id"], changed, strict=True)]
        parents = [[id] if new else before for id, new, before in zip(docs["id"], changed, was, strict=True)]
        return docs.with_columns(
            pl.Series("text", texts, dtype=pl.String),
            pl.Series("id", ids, dtype=pl.String),
            pl.Series("parents", parents, dtype=pl.List(pl.String)),
        )


def tidied(text: str, openings: re.Pattern[str], closings: re.Pattern[str]) -> str:
    """The text without first lines that match `openings` and last lines that match `closings`; as it was if nothing is left."""
    lines = text.strip("\n").split("\n")
    while lines and (not lines[0].strip() or openings.fullmatch(lines[0].strip())):
        lines.pop(0)
    while lines and (not lines[-1].strip() or closings.fullmatch(lines[-1].strip())):
        lines.pop()
    kept = "\n".join(lines)
    if not lines or kept == text.strip("\n"):
        return text
    return kept + "\n"


def _lines(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{item})" for item in patterns), re.IGNORECASE)
