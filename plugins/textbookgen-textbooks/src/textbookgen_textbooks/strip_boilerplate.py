"""Boilerplate removal: greetings, announcements and offers of help that language models put around a text."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Input, Labels, Transform, document_id
from textbookgen_textbooks.word_lists import entries_by_heading


class StripBoilerplate(Transform):
    """Remove stock opening and closing lines from texts; lines in between are never changed.

    An open replication of phi-1.5's data (Cosmopedia) found that its teacher repeated a few openings so often that they had
    to be removed afterwards. A changed text is a new document that names its parent.
    """

    name: ClassVar[str] = "strip-boilerplate"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose texts are cleaned")
    openings: tuple[str, ...] = Field((), description="further regular expressions for opening lines to remove")
    closings: tuple[str, ...] = Field((), description="further regular expressions for closing lines to remove")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the cleaned texts; a text that consists of boilerplate only stays unchanged."""
        known = entries_by_heading("boilerplate")
        openings = _pattern((*known["openings"], *self.openings))
        closings = _pattern((*known["closings"], *self.closings))
        old = docs["text"].to_list()
        new = [strip_lines(text, openings, closings) for text in old]
        changed = [before != after for before, after in zip(old, new, strict=True)]
        parents = docs["parents"].to_list() if "parents" in docs.columns else [[] for _ in changed]
        rows = list(zip(docs["id"], parents, changed, strict=True))
        return docs.with_columns(
            pl.Series("text", new, dtype=pl.String),
            pl.Series("id", [document_id(self.name, id) if edited else id for id, _, edited in rows], dtype=pl.String),
            pl.Series("parents", [[id] if edited else above for id, above, edited in rows], dtype=pl.List(pl.String)),
        )


def strip_lines(text: str, openings: re.Pattern[str], closings: re.Pattern[str]) -> str:
    """Return a text without first lines that match `openings` and last lines that match `closings`.

    Blank lines between them are removed too. A text of which nothing would remain is returned unchanged.
    """
    lines = text.strip("\n").split("\n")
    while lines and (not lines[0].strip() or openings.fullmatch(lines[0].strip())):
        lines.pop(0)
    while lines and (not lines[-1].strip() or closings.fullmatch(lines[-1].strip())):
        lines.pop()
    stripped = "\n".join(lines)
    if not lines or stripped == text.strip("\n"):
        return text
    return stripped + "\n"


def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)
