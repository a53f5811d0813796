"""`dedup/filter-and-dedup`: several filters and deduplication in one step."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Filter, Filters, StageInputs
from textbookgen_dedup.stages.minhash import MinHashDedup


class FilterAndDedup(MinHashDedup):
    """Gives the verdicts that steps with these filters, followed by `dedup/minhash`, would give, in one step.

    Each filter sees what those before it kept, and copies are searched for among what all of them kept.
    """

    name: ClassVar[str] = "filter-and-dedup"

    filters: Annotated[tuple[str | dict[str, Any], ...], Filters] = Field(
        min_length=1, description="filters that run before deduplication, in order: names, or tables with `use` and options"
    )

    _filters: list[Filter] = PrivateAttr(default_factory=list)

    def prepare(self, inputs: StageInputs) -> None:
        """Prepare the filters and the deduplication."""
        super().prepare(inputs)
        self._filters = [inputs.resolver.filter(use) for use in self.filters]
        for item in self._filters:
            item.prepare(inputs)

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return a sketch of each document that the filters kept, and the verdict on each that they dropped."""
        kept, dropped = docs, []
        for item in self._filters:
            decisions = item.decide(kept)
            verdicts = decisions.select("id", "keep", *(_column(decisions, name) for name in ("reason", "score", "detail")))
            dropped.append(
                verdicts.filter(~pl.col("keep")).select(
                    "id", filter_reason="reason", filter_score="score", filter_detail="detail"
                )
            )
            kept = kept.join(verdicts.filter("keep"), on="id", how="semi", maintain_order="left")
        sketches = docs.select("id").join(super().sketch(kept), on="id", how="left", maintain_order="left")
        return sketches.join(pl.concat(dropped), on="id", how="left", maintain_order="left")

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return the filters' verdicts on what they dropped, and those of deduplication on the rest."""
        rest = sketches.filter(pl.col("signature").is_not_null())
        ids = rest.select("id")
        verdicts = super().decide(rest, corpus.join(ids, on="id", how="semi", maintain_order="left"))
        dropped = sketches.select("id", "filter_reason", "filter_score", "filter_detail").collect()
        merged = dropped.join(verdicts, on="id", how="left", maintain_order="left")
        return merged.select(
            "id",
            keep=pl.col("keep").fill_null(False),
            reason=pl.coalesce("filter_reason", "reason"),
            score=pl.coalesce("filter_score", "score"),
            detail=pl.coalesce("filter_detail", "detail"),
            **{"dedup.cluster": "dedup.cluster"},
        )


def _column(verdicts: pl.DataFrame, name: str) -> pl.Expr:
    """Return an optional column of verdicts, null if the filter left it out."""
    dtype = pl.Float64 if name == "score" else pl.String
    return (pl.col(name) if name in verdicts.columns else pl.lit(None)).cast(dtype).alias(name)
