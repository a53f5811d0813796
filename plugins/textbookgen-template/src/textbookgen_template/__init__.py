"""Filters documents by their length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter, Stage, hookimpl


class LengthFilter(Filter):
    """Drops documents that are too short or too long. The score is the number of words."""

    name: ClassVar[str] = "length"

    min_words: int = Field(50, ge=0, description="minimum number of words")
    max_words: int | None = Field(None, gt=0, description="maximum number of words; no limit unless given")

    def check(self) -> Iterable[Diagnostic]:
        """Report limits that no document can satisfy."""
        if self.max_words is not None and self.max_words < self.min_words:
            yield Diagnostic("max_words", f"{self.max_words} is less than `min_words`, {self.min_words}")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return one verdict per document."""
        words = pl.col("text").str.count_matches(r"\S+")
        too_short, too_long = words < self.min_words, words > (self.max_words or 2**31)
        reason = pl.when(too_short).then(pl.lit("too short")).when(too_long).then(pl.lit("too long"))
        return docs.select("id", keep=~(too_short | too_long), reason=reason, score=words.cast(pl.Float64))


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the stages of this plugin; a recipe puts the plugin's name before the stage's."""
    return [LengthFilter]
