"""Near copies: which documents of a corpus repeat an earlier one, by prompt family and over time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from textbookgen_minhash.sketches import Scheme, scheme_for, sketch
from textbookgen_minhash.words import text_of

from textbookgen.artifacts import Part, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MEMORY = 512 << 20  # bytes of indexes; what does not fit is worked in blocks and files


@dataclass(frozen=True)
class Likeness:
    """When two documents are near copies: their shingles' true Jaccard index, found by MinHash."""

    threshold: float
    shingle: int

    @property
    def scheme(self) -> Scheme:
        """The sizes of sketches."""
        return scheme_for(self.threshold, self.shingle, 128)


def copies(table: Table, likeness: Likeness, folder: Path) -> NDArray[np.bool_]:
    """Whether each document is a near copy of one before it that is none."""
    copied: NDArray[np.bool_] = _originals([table], likeness, folder) >= 0
    return copied


def copied_from(table: Table, reference: Table, likeness: Likeness, folder: Path) -> NDArray[np.bool_]:
    """Whether each document is a near copy of one of the reference (and not more like one of its own corpus)."""
    copied: NDArray[np.bool_] = _originals([reference, table], likeness, folder) == 0
    return copied


def _originals(tables: Sequence[Table], likeness: Likeness, folder: Path) -> NDArray[np.int64]:
    """For each document of the last table the number of the table that holds its original; -1 where it is new."""
    import numpy as np
    from textbookgen_minhash.copies import NONE, Room, find_originals

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="copies-") as place:
        parts = [part for table in tables for part in table.parts]
        sketches, rows = _sketched(parts, likeness.scheme, Path(place))
        if not sum(rows):
            return np.zeros(0, np.int64)
        corpus = pl.concat([part.scan() for part in parts], how="diagonal_relaxed")
        found = find_originals(
            sketches,
            corpus,
            text_of,
            np.arange(sum(rows)),
            likeness.scheme,
            likeness.threshold,
            Room(Path(place), _MEMORY),
        )
        before = sum(rows[: len(parts) - len(tables[-1].parts)])
        of = found.of[before:]
        originals: NDArray[np.int64] = np.where(of == NONE, -1, np.where(of < before, 0, len(tables) - 1))
        return originals


def _sketched(parts: Sequence[Part], scheme: Scheme, folder: Path) -> tuple[pl.LazyFrame, list[int]]:
    """Sketches of every part on disk, and how many rows each has."""
    rows = []
    for number, part in enumerate(parts):
        docs = part.read()
        sketch(docs["id"], text_of(docs), scheme).write_parquet(folder / f"sketch-{number:06d}.parquet")
        rows.append(len(docs))
    return pl.scan_parquet([folder / f"sketch-{number:06d}.parquet" for number in range(len(parts))]), rows


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
