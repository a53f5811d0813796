"""`dedup/filter-and-dedup`: several judges and deduplication while each text is read once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Filter, Filters, StageInputs
from textbookgen_dedup.stages.minhash import MinHashDedup


class FilterAndDedup(MinHashDedup):
    """Does what steps with these judges and then `dedup/minhash` would do, with the same verdicts, in one step.

    Every judge sees what those before it kept; copies are looked for among what all of them kept.
    """

    name: ClassVar[str] = "filter-and-dedup"

    judges: Annotated[tuple[str | dict[str, Any], ...], Filters] = Field(
        min_length=1, description="judges that go before deduplication, in order: names, or tables with `use` and options"
    )

    _judges: list[Filter] = PrivateAttr(default_factory=list)

    def prepare(self, inputs: StageInputs) -> None:
        """Makes the judges ready."""
        super().prepare(inputs)
        self._judges = [inputs.resolver.filter(use) for use in self.judges]
        for judge in self._judges:
            judge.prepare(inputs)

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """A sketch of each document that the judges kept, and of the others why they were dropped."""
        kept, dropped = docs, []
        for judge in self._judges:
            verdicts = judge.decide(kept)
            told = verdicts.select("id", "keep", *(_column(verdicts, name) for name in ("reason", "score", "detail")))
            dropped.append(
                told.filter(~pl.col("keep")).select("id", out=pl.col("reason"), out_score="score", out_detail="detail")
            )
            kept = kept.join(told.filter("keep"), on="id", how="semi", maintain_order="left")
        sketches = docs.select("id").join(super().sketch(kept), on="id", how="left", maintain_order="left")
        return sketches.join(pl.concat(dropped), on="id", how="left", maintain_order="left")

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Verdicts: the judges' own on what they dropped, those of deduplication on the rest."""
        rest = sketches.filter(pl.col("signature").is_not_null())
        ids = rest.select("id")
        verdicts = super().decide(rest, corpus.join(ids, on="id", how="semi", maintain_order="left"))
        told = sketches.select("id", "out", "out_score", "out_detail").collect()
        both = told.join(verdicts, on="id", how="left", maintain_order="left")
        return both.select(
            "id",
            keep=pl.col("keep").fill_null(False),
            reason=pl.coalesce("out", "reason"),
            score=pl.coalesce("out_score", "score"),
            detail=pl.coalesce("out_detail", "detail"),
            **{"minhash.cluster": "minhash.cluster"},
        )


def _column(verdicts: pl.DataFrame, name: str) -> pl.Expr:
    """A column of verdicts that a judge may leave out."""
    kind = pl.Float64 if name == "score" else pl.String
    return (pl.col(name) if name in verdicts.columns else pl.lit(None)).cast(kind).alias(name)
