"""Rows of problems as data frames, with the columns that all problems have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import polars as pl

COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "reasoning.prompt": pl.String(),
    "reasoning.answer": pl.String(),
    "reasoning.cell": pl.String(),
}

_ROWS_PER_FRAME = 2_000


def to_frames(
    rows: Iterable[Mapping[str, Any]], extra_columns: Mapping[str, pl.DataType] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield rows in frames of 2,000.

    Args:
        rows: The problems.
        extra_columns: Columns beyond those of all problems.
    """
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_PER_FRAME)):
        yield pl.DataFrame(batch, schema={**COLUMNS, **(extra_columns or {})})
