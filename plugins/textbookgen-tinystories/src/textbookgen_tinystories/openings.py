"""Keeps stories from all beginning alike."""

from __future__ import annotations

from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import CorpusFilter, Documents, Input, Labels


class Openings(CorpusFilter):
    """Keeps, of stories that begin with the same words, no more than a share of the corpus; the first ones stay.

    Of the published TinyStories 59% hold "Once upon a time" (SimpleStories, arXiv 2504.09184); a model trained on them
    begins no other way.
    """

    name: ClassVar[str] = "openings"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose stories are compared")
    words: int = Field(4, gt=0, description="stories begin alike if so many first words are the same, case apart")
    max_share: float = Field(0.05, gt=0, le=1, description="share of the corpus that may begin alike; one story always may")

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The opening of each story."""
        first = pl.col("text").str.to_lowercase().str.extract_all(r"[\p{L}\d'\u2019]+").list.head(self.words)
        return docs.select("id", opening=first.list.join(" "))

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Verdicts; what is dropped says with how many it shares its opening."""
        ranked = sketches.with_columns(
            rank=pl.int_range(pl.len()).over("opening"), alike=pl.len().over("opening"), total=pl.len()
        ).with_columns(keep=pl.col("rank") < (pl.col("total") * self.max_share + 1e-9).floor().clip(1))
        return ranked.select(
            "id",
            "keep",
            reason=pl.when("keep").then(None).otherwise(pl.lit("begins like many others")),
            score=(pl.col("alike") / pl.col("total")).cast(pl.Float64),
            detail=pl.when("keep").then(None).otherwise(pl.format("{} begin with: {}", "alike", "opening")),
        ).collect()
