"""Filters documents by the mean length of their sentences."""

from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Filter, hookimpl


class SentenceLengthFilter(Filter):
    """Drops documents whose mean sentence is longer than `max_words`."""

    name: ClassVar[str] = "sentence-length"

    max_words: float = Field(18.0, gt=0, description="maximum mean number of words per sentence; 18 suits a ten-year-old")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        words = pl.col("text").str.count_matches(r"\w+")
        sentences = pl.col("text").str.count_matches(r"[.!?]+").clip(1)
        return docs.select("id", score=words / sentences).with_columns(
            keep=pl.col("score") <= self.max_words,
            reason=pl.when(pl.col("score") > self.max_words).then(pl.lit("long sentences")),
            detail=pl.format("{} words per sentence", pl.col("score").round(1)),
        )


@hookimpl
def stages() -> list[type[Filter]]:
    return [SentenceLengthFilter]
