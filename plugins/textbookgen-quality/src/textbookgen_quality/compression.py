"""`quality/compression`: text that a compressor finds all too easy, or noise, does not flow on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter


class Compression(Filter):
    """Drops documents by how well zlib compresses them: the size after compression over the size before, in bytes.

    Repetitive text has a low ratio, random characters a high one; English prose of some length has about 0.3 to 0.6, and
    the ratio falls as texts grow, which is why short ones are kept unseen.
    """

    name: ClassVar[str] = "compression"

    least: float = Field(0.15, ge=0, description="ratio below which a document counts as repetitive")
    most: float = Field(0.85, gt=0, description="ratio above which a document counts as noise")
    min_bytes: int = Field(300, ge=1, description="shorter documents are kept: their ratio says nothing")
    text: str = Field("text", description="the column that is judged")

    def check(self) -> Iterable[Diagnostic]:
        """Complains about bounds that leave nothing."""
        if self.least >= self.most:
            yield Diagnostic("least", "`least` must be below `most`, or nothing is kept")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, with the ratio as `score`; null for documents that are too short."""
        raw = [(text or "").encode() for text in docs[self.text]]
        ratios = [len(zlib.compress(item, 6)) / len(item) if len(item) >= self.min_bytes else None for item in raw]
        verdicts = docs.select("id").with_columns(score=pl.Series(ratios, dtype=pl.Float64))
        reason = (
            pl.when(pl.col("score") < self.least)
            .then(pl.lit("repetitive"))
            .when(pl.col("score") > self.most)
            .then(pl.lit("noise"))
        )
        return verdicts.select("id", keep=reason.is_null(), reason=reason, score="score")
