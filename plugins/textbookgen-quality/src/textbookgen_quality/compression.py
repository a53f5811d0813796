"""`quality/compression`: drop repetitive text and noise by their compression ratio."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter
from textbookgen.api.rows import text_of


class CompressionFilter(Filter):
    """Drops documents by the ratio of their size after compression by zlib to their size before, in bytes.

    Repetitive text has a low ratio, random characters a high one. English prose of some length has about 0.3 to 0.6. The
    ratio falls with length, which is why short documents are kept unchecked.
    """

    name: ClassVar[str] = "compression"

    min_ratio: float = Field(0.15, ge=0, description="ratio below which a document is repetitive")
    max_ratio: float = Field(0.85, gt=0, description="ratio above which a document is noise")
    min_bytes: int = Field(300, ge=1, description="shorter documents are kept: their ratio is not informative")
    text: str = Field("text", description="the column to check")

    def check(self) -> Iterable[Diagnostic]:
        """Report bounds that leave nothing."""
        if self.min_ratio >= self.max_ratio:
            yield Diagnostic("min_ratio", "`min_ratio` must be below `max_ratio`, or every document is dropped")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts with the ratio as `score`, null for documents that are too short."""
        raw = [text.encode() for text in text_of(docs, self.text)]
        ratios = [len(zlib.compress(item, 6)) / len(item) if len(item) >= self.min_bytes else None for item in raw]
        verdicts = docs.select("id").with_columns(score=pl.Series(ratios, dtype=pl.Float64))
        reason = (
            pl.when(pl.col("score") < self.min_ratio)
            .then(pl.lit("repetitive"))
            .when(pl.col("score") > self.max_ratio)
            .then(pl.lit("noise"))
        )
        return verdicts.select("id", keep=reason.is_null(), reason=reason, score="score")
