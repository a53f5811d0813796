"""Figures of a report from the scores of single items."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from textbookgen.api.rows import ITEM_SCORE_SCHEMA


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error from the sample variance, as lm-evaluation-harness; 0 for a single value."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    return mean, math.sqrt(variance / len(values))


def item_scores(items: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
    """Return the scores of items, one row per item and metric (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`).

    Args:
        items: rows with `subject`, `benchmark`, `item`, and a column per metric; null where a metric does not apply.
        metrics: names of these columns.
    """
    key = ("subject", "benchmark", "item")
    columns = [items.select(*key, metric=pl.lit(name), value=pl.col(name).cast(pl.Float64)) for name in metrics]
    return pl.concat([pl.DataFrame(schema=ITEM_SCORE_SCHEMA), *columns]).drop_nulls("value")


def figures(scores: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row of the report for each subject, benchmark and metric: the mean over the items."""
    for (subject, benchmark, metric), rows in scores.group_by("subject", "benchmark", "metric", maintain_order=True):
        mean, stderr = mean_and_error(rows["value"].to_list())
        yield {
            "subject": subject,
            "benchmark": benchmark,
            "metric": metric,
            "value": mean,
            "stderr": stderr,
            "n": len(rows),
        }
