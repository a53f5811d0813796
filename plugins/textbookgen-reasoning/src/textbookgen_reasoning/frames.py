"""Rows of problems into frames of some thousands, with the columns that every problem here has."""

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

_ROWS = 2_000


def framed(rows: Iterable[Mapping[str, Any]], more: Mapping[str, pl.DataType] | None = None) -> Iterator[pl.DataFrame]:
    """The rows in frames; `more` are columns beyond those of every problem."""
    left = iter(rows)
    while some := list(islice(left, _ROWS)):
        yield pl.DataFrame(some, schema={**COLUMNS, **(more or {})})
