"""Near copies: which documents of a corpus repeat an earlier one, by prompt family and over time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from textbookgen_dedup.stages.minhash import MinHashDedup

from textbookgen import StageInputs, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: MiB of indexes; what does not fit is worked in blocks and files.
_MEMORY = 512


@dataclass(frozen=True)
class Likeness:
    """When two documents are near copies: their shingles' true Jaccard index, found by MinHash."""

    threshold: float
    shingle: int

    def ready(self, inputs: StageInputs) -> MinHashDedup:
        """The judge that finds copies, ready to."""
        judge = MinHashDedup(inputs=("from",), threshold=self.threshold, shingle=self.shingle, memory_mib=_MEMORY)
        judge.prepare(inputs)
        return judge


def copies(table: Table, likeness: Likeness, inputs: StageInputs) -> NDArray[np.bool_]:
    """Whether each document is a near copy of one before it that is none."""
    copied: NDArray[np.bool_] = _originals([table], likeness, inputs) >= 0
    return copied


def copied_from(table: Table, reference: Table, likeness: Likeness, inputs: StageInputs) -> NDArray[np.bool_]:
    """Whether each document is a near copy of one of the reference (and not more like one of its own corpus)."""
    copied: NDArray[np.bool_] = _originals([reference, table], likeness, inputs) == 0
    return copied


def _originals(tables: Sequence[Table], likeness: Likeness, inputs: StageInputs) -> NDArray[np.int64]:
    """For each document of the last table the number of the table that holds its original; -1 where it is new."""
    judge = likeness.ready(inputs)
    inputs.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=inputs.folder, prefix="sketches-") as place:
        files = list(_sketched(judge, tables, Path(place)))
        if not files:
            return pl.Series([], dtype=pl.Int64).to_numpy()
        corpus = pl.concat([part.scan() for table in tables for part in table.parts], how="diagonal_relaxed")
        verdicts = judge.decide(pl.scan_parquet(files), corpus)
    last = f"{len(tables) - 1}/"
    own = verdicts.filter(pl.col("id").str.starts_with(last)).sort(pl.col("id").str.strip_prefix(last).cast(pl.Int64))
    original = pl.col("minhash.cluster").str.extract(r"^(\d+)/").cast(pl.Int64)
    return own.select(pl.when("keep").then(pl.lit(-1)).otherwise(original)).to_series().to_numpy()


def _sketched(judge: MinHashDedup, tables: Sequence[Table], folder: Path) -> Iterator[Path]:
    """Sketches of every part on disk; a document is called by its table and its place in it."""
    for number, table in enumerate(tables):
        row = 0
        for part, docs in enumerate(table.frames()):
            named = docs.with_columns(pl.format("{}/{}", pl.lit(number), pl.int_range(row, row + pl.len())).alias("id"))
            row += len(docs)
            file = folder / f"sketch-{number}-{part:06d}.parquet"
            judge.sketch(named).write_parquet(file)
            yield file


def families(table: Table, by: str) -> pl.Series:
    """The prompt family of each document: its `kind`, its stage (`step`), or the value of a field of its draw."""
    return pl.concat(
        [pl.Series("family", [], pl.String), *(_family(frame, by) for frame in table.frames(["kind", "step", "draw"]))]
    )


def _family(frame: pl.DataFrame, by: str) -> pl.Series:
    if by == "kind":
        return frame["kind"].alias("family")
    if by == "step":
        return frame["step"].str.replace(r"-[0-9a-f]{6,}$", "").alias("family")
    draws = (json.loads(text) if text else {} for text in frame["draw"])
    return pl.Series("family", [_said(draw.get(by)) for draw in draws], dtype=pl.String)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def by_family(copied: NDArray[np.bool_], family: pl.Series) -> pl.DataFrame:
    """`family`, `documents`, `near_copies` and their `share`, the largest share first."""
    return _shares(pl.DataFrame({"family": family, "copied": pl.Series(copied)}), "family").sort(
        ["share", "documents", "family"], descending=[True, True, False]
    )


def over_time(copied: NDArray[np.bool_], openings: pl.Series, spans: int) -> pl.DataFrame:
    """The same for `span`s of the corpus, in order, with the `opening_share` of the opening most frequent in all."""
    rows = pl.DataFrame({"copied": pl.Series(copied), "opening": openings}).with_row_index("at")
    rows = rows.with_columns(span=pl.col("at") * spans // max(len(rows), 1), worn=pl.col("opening") == _commonest(openings))
    worn = rows.group_by("span").agg(first=pl.col("at").min(), opening_share=pl.col("worn").mean())
    return _shares(rows, "span").join(worn, on="span").sort("span")


def _commonest(openings: pl.Series) -> int:
    counts = openings.value_counts().sort(["count", openings.name], descending=[True, False])
    return int(counts[openings.name][0]) if len(counts) else 0


def _shares(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    counted = rows.group_by(name).agg(documents=pl.len(), near_copies=pl.col("copied").sum())
    return counted.with_columns(share=pl.col("near_copies") / pl.col("documents"))
