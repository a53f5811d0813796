"""The summary of a run: figures of its steps and models, from their records, cards and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Checkpoint, Report
from textbookgen.api.cards import CheckpointCard
from textbookgen.api.events import StepRecord
from textbookgen.storage.records import ModelSummary, RunPlan, RunSummary, Score, StepEntry, StepSummary
from textbookgen.storage.workspace import RunFolder, Workspace


def summarize(
    workspace: Workspace, plan: RunPlan, records: Mapping[str, tuple[StepRecord, bool]], seconds: float, error: str = ""
) -> RunSummary:
    """Return the figures of a run.

    Args:
        workspace: where the steps are.
        plan: the steps of the run.
        records: the record of each complete step by label, and whether an earlier run completed it.
        seconds: the wall-clock time of the run.
        error: why the run failed; empty if it did not.
    """
    complete = [step for step in plan.steps if step.label in records]
    return RunSummary(
        recipe=plan.recipe,
        seconds=round(seconds, 3),
        error=error,
        steps=tuple(_step(step, *records[step.label]) for step in complete),
        models=dict(_models(workspace, complete)),
        reports=tuple(step.address for step in complete if Report.name in step.output),
    )


def summarize_unfinished(workspace: Workspace, run: RunFolder) -> RunSummary:
    """Return the figures of a run that was killed or is still running, from its complete steps."""
    plan = run.plan()
    records = {step.label: record for step in plan.steps if (record := workspace.step(step.address).record()) is not None}
    seconds = sum(record.seconds for record in records.values())
    return summarize(workspace, plan, {label: (record, False) for label, record in records.items()}, seconds, "not finished")


def report_rows(workspace: Workspace, addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the figures of these evaluation steps: `subject`, `metric`, `value`, and where known `stderr` and `n`."""
    for address in addresses:
        yield from pl.read_parquet(workspace.step(address).out / "report.parquet").to_dicts()


def _step(step: StepEntry, record: StepRecord, cached: bool) -> StepSummary:
    return StepSummary(step.label, step.use, step.address, cached, **asdict(record))


def _models(workspace: Workspace, steps: Sequence[StepEntry]) -> Iterator[tuple[str, ModelSummary]]:
    rows = list(report_rows(workspace, [step.address for step in steps if Report.name in step.output]))
    for step in steps:
        if Checkpoint.name not in step.output:
            continue
        card = CheckpointCard.read(workspace.step(step.address).out)
        scores = {
            row["metric"]: Score(row["value"], row.get("stderr"), row.get("n")) for row in rows if row["subject"] == step.label
        }
        yield (
            step.label,
            ModelSummary(
                address=step.address,
                parameters=card.parameters,
                tokens=card.tokens,
                bits_per_byte=card.bits_per_byte,
                tokens_per_second=card.tokens_per_second,
                pass_at_1=next((score for metric, score in scores.items() if metric.startswith("pass@1")), None),
                scores=scores,
            ),
        )
