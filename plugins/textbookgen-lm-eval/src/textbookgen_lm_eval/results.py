"""What lm-evaluation-harness returns, as rows of a report and tables of samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from textbookgen.api.rows import ITEM_SCORE_SCHEMA

SAMPLE_SCHEMA: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "benchmark": pl.String(),
    "item": pl.String(),
    "filter": pl.String(),
    "document": pl.String(),
    "arguments": pl.String(),
    "responses": pl.String(),
    "filtered_responses": pl.String(),
    "target": pl.String(),
}


def report_rows(subject: str, results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of the report for each task or group and metric; standard errors are the harness's."""
    for task, figures in {**results["results"], **results.get("groups", {})}.items():
        counts = results.get("n-samples", {}).get(task)
        for key, value in figures.items():
            metric, comma, filtered = key.partition(",")
            if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            stderr = figures.get(f"{metric}_stderr,{filtered}")
            yield {
                "subject": subject,
                "benchmark": benchmark_name(task, results),
                "metric": _metric(metric, filtered),
                "value": float(value),
                "stderr": float(stderr) if isinstance(stderr, int | float) else None,
                "n": counts["effective"] if counts else None,
            }


def benchmark_name(task: str, results: Mapping[str, Any]) -> str:
    """Return the name of a task with its number of examples, such as `arc_easy (5-shot)`."""
    shots = results.get("n-shot", {}).get(task)
    return f"{task} ({shots}-shot)" if shots else task


def sample_rows(subject: str, results: Mapping[str, Any]) -> pl.DataFrame:
    """Return each item of each task with its prompts and responses as JSON."""
    rows = [
        {
            "subject": subject,
            "benchmark": benchmark_name(task, results),
            "item": str(sample["doc_id"]),
            "filter": sample.get("filter", "none"),
            "document": _json(sample["doc"]),
            "arguments": _json(sample["arguments"]),
            "responses": _json(sample["resps"]),
            "filtered_responses": _json(sample["filtered_resps"]),
            "target": str(sample["target"]),
        }
        for task, samples in results["samples"].items()
        for sample in samples
    ]
    return pl.DataFrame(rows, schema=SAMPLE_SCHEMA)


def item_scores(subject: str, results: Mapping[str, Any]) -> pl.DataFrame:
    """Return the scores of items (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`) of metrics with one number per item."""
    rows = [
        {
            "subject": subject,
            "benchmark": benchmark_name(task, results),
            "item": str(sample["doc_id"]),
            "metric": _metric(metric, sample.get("filter", "none")),
            "value": float(sample[metric]),
        }
        for task, samples in results["samples"].items()
        for sample in samples
        for metric in sample.get("metrics", ())
        if isinstance(sample.get(metric), int | float)
    ]
    return pl.DataFrame(rows, schema=ITEM_SCORE_SCHEMA)


def _metric(metric: str, filtered: str) -> str:
    return metric if filtered in ("none", "") else f"{metric} ({filtered})"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
