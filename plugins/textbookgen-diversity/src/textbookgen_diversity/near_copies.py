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

_MEMORY_MIB = 512


@dataclass(frozen=True)
class NearCopyFinder:
    """Finds near copies by the true Jaccard index of shingles, as `dedup/minhash` does.

    Attributes:
        threshold: Jaccard index from which a document is a near copy.
        shingle: words in a shingle.
        inputs: the step's inputs, whose folder takes temporary files.
    """

    threshold: float
    shingle: int
    inputs: StageInputs

    def within(self, table: Table) -> NDArray[np.bool_]:
        """Whether each document is a near copy of an earlier one that is not a near copy itself."""
        copied: NDArray[np.bool_] = self._original_tables([table]) >= 0
        return copied

    def of_reference(self, table: Table, reference: Table) -> NDArray[np.bool_]:
        """Whether each document is a near copy of a document of the reference."""
        copied: NDArray[np.bool_] = self._original_tables([reference, table]) == 0
        return copied

    def _original_tables(self, tables: Sequence[Table]) -> NDArray[np.int64]:
        """Return for each document of the last table the number of the table that has its original; -1 if it is new."""
        dedup = MinHashDedup(inputs=("from",), threshold=self.threshold, shingle=self.shingle, memory_mib=_MEMORY_MIB)
        dedup.prepare(self.inputs)
        self.inputs.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.inputs.folder, prefix="sketches-") as folder:
            files = list(_write_sketches(dedup, tables, Path(folder)))
            if not files:
                return pl.Series([], dtype=pl.Int64).to_numpy()
            corpus = pl.concat([part.scan() for table in tables for part in table.parts], how="diagonal_relaxed")
            verdicts = dedup.decide(pl.scan_parquet(files), corpus)
        last = f"{len(tables) - 1}/"
        own = verdicts.filter(pl.col("id").str.starts_with(last)).sort(pl.col("id").str.strip_prefix(last).cast(pl.Int64))
        original = pl.col("dedup.cluster").str.extract(r"^(\d+)/").cast(pl.Int64)
        return own.select(pl.when("keep").then(pl.lit(-1)).otherwise(original)).to_series().to_numpy()


def _write_sketches(dedup: MinHashDedup, tables: Sequence[Table], folder: Path) -> Iterator[Path]:
    """Write the sketches of every part, with the number of the table and the row as id; yield the files."""
    for number, table in enumerate(tables):
        row = 0
        for part, docs in enumerate(table.frames()):
            renamed = docs.with_columns(pl.format("{}/{}", pl.lit(number), pl.int_range(row, row + pl.len())).alias("id"))
            row += len(docs)
            file = folder / f"sketch-{number}-{part:06d}.parquet"
            dedup.sketch(renamed).write_parquet(file)
            yield file


def prompt_families(table: Table, by: str) -> pl.Series:
    """Return the prompt family of each document: its `kind`, its stage (`step`), or the value of a field of its draw."""
    frames = table.frames(["kind", "step", "draw"])
    return pl.concat([pl.Series("family", [], pl.String), *(_prompt_family(frame, by) for frame in frames)])


def _prompt_family(frame: pl.DataFrame, by: str) -> pl.Series:
    if by == "kind":
        return frame["kind"].alias("family")
    if by == "step":
        return frame["step"].str.replace(r"-[0-9a-f]{6,}$", "").alias("family")
    draws = (json.loads(text) if text else {} for text in frame["draw"])
    return pl.Series("family", [_as_text(draw.get(by)) for draw in draws], dtype=pl.String)


def _as_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def copies_by_family(copied: NDArray[np.bool_], family: pl.Series) -> pl.DataFrame:
    """Return `family`, `documents`, `near_copies` and their `share`, the largest share first."""
    rows = pl.DataFrame({"family": family, "copied": pl.Series(copied)})
    return _count_copies(rows, "family").sort(["share", "documents", "family"], descending=[True, True, False])


def copies_over_time(copied: NDArray[np.bool_], openings: pl.Series, spans: int) -> pl.DataFrame:
    """Count near copies in consecutive spans of the corpus.

    Args:
        copied: (n,) whether each document is a near copy, in the order in which they were written.
        openings: (n,) hashes of the documents' openings.
        spans: number of spans.

    Returns:
        `span`, `documents`, `near_copies`, `share`, `first` (row of the span's first document) and `opening_share`, the share
        of documents with the corpus's most frequent opening.
    """
    rows = pl.DataFrame({"copied": pl.Series(copied), "opening": openings}).with_row_index("at")
    span, is_top = pl.col("at") * spans // max(len(rows), 1), pl.col("opening") == _most_frequent(openings)
    rows = rows.with_columns(span=span, is_top=is_top)
    firsts = rows.group_by("span").agg(first=pl.col("at").min(), opening_share=pl.col("is_top").mean())
    return _count_copies(rows, "span").join(firsts, on="span").sort("span")


def _most_frequent(openings: pl.Series) -> int:
    counts = openings.value_counts().sort(["count", openings.name], descending=[True, False])
    return int(counts[openings.name][0]) if len(counts) else 0


def _count_copies(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    counts = rows.group_by(name).agg(documents=pl.len(), near_copies=pl.col("copied").sum())
    return counts.with_columns(share=pl.col("near_copies") / pl.col("documents"))
