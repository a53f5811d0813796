"""Filter against stories that all begin with the same words."""

from __future__ import annotations

from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import CorpusFilter, Documents, Input, Labels


class Openings(CorpusFilter):
    """Limit stories that begin with the same words to a share of the corpus; the first ones are kept.

    Of the published TinyStories, 59% contain "Once upon a time" (SimpleStories, arXiv 2504.09184), and models trained on
    them begin almost every story that way.
    """

    name: ClassVar[str] = "openings"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose stories are compared")
    words: int = Field(4, gt=0, description="number of first words that make an opening; case is ignored")
    max_share: float = Field(
        0.05, gt=0, le=1, description="maximum share of the corpus with the same opening; one story is always kept"
    )

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the opening of each story."""
        first_words = pl.col("text").str.to_lowercase().str.extract_all(r"[\p{L}\d'\u2019]+").list.head(self.words)
        return docs.select("id", opening=first_words.list.join(" "))

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return a verdict per story; the detail of a dropped one has the number of stories with its opening."""
        ranked = sketches.with_columns(
            rank=pl.int_range(pl.len()).over("opening"), alike=pl.len().over("opening"), total=pl.len()
        ).with_columns(keep=pl.col("rank") < (pl.col("total") * self.max_share + 1e-9).floor().clip(1))
        return ranked.select(
            "id",
            "keep",
            reason=pl.when("keep").then(None).otherwise(pl.lit("frequent opening")),
            score=(pl.col("alike") / pl.col("total")).cast(pl.Float64),
            detail=pl.when("keep").then(None).otherwise(pl.format("{} begin with: {}", "alike", "opening")),
        ).collect()
