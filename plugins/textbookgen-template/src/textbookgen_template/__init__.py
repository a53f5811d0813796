"""Keeps documents of a sensible length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter, Stage, hookimpl


class Length(Filter):
    """Drops documents that are too short to say something, or too long to keep to it."""

    name: ClassVar[str] = "length"

    least: int = Field(50, ge=0, description="words that a document has at least")
    most: int | None = Field(None, gt=0, description="words that a document has at most; any number unless given")

    def check(self) -> Iterable[Diagnostic]:
        """Limits between which nothing lies."""
        if self.most is not None and self.most < self.least:
            yield Diagnostic("most", f"no document has at least {self.least} and at most {self.most} words")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The score is the number of words."""
        words = pl.col("text").str.count_matches(r"\S+")
        short, long = words < self.least, words > (self.most or 2**31)
        reason = pl.when(short).then(pl.lit("too short")).when(long).then(pl.lit("too long"))
        return docs.select("id", keep=~(short | long), reason=reason, score=words.cast(pl.Float64))


@hookimpl
def stages() -> list[type[Stage]]:
    """What this plugin brings; a recipe writes the plugin's name before the stage's."""
    return [Length]
