"""The summary of a run: figures of its steps and models, from their records, cards and reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Checkpoint, Report
from textbookgen.api.cards import CheckpointCard
from textbookgen.api.events import StepRecord
from textbookgen.api.rows import complete_report
from textbookgen.storage.records import ModelSummary, RunPlan, RunSummary, Score, StepEntry, StepSummary, SubjectScores
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
    reports = tuple(step.address for step in complete if Report.name in step.output)
    scores = _scores(report_rows(workspace, plan, reports))
    models = dict(_models(workspace, complete, scores))
    return RunSummary(
        recipe=plan.recipe,
        seconds=round(seconds, 3),
        error=error,
        steps=tuple(_step(step, *records[step.label]) for step in complete),
        models=models,
        others=tuple(SubjectScores(subject, of_subject) for subject, of_subject in scores.items() if subject not in models),
        reports=reports,
    )


def summarize_unfinished(workspace: Workspace, run: RunFolder) -> RunSummary:
    """Return the figures of a run that was killed or is still running, from its complete steps."""
    plan = run.plan()
    records = {step.label: record for step in plan.steps if (record := workspace.step(step.address).record()) is not None}
    seconds = sum(record.seconds for record in records.values())
    return summarize(workspace, plan, {label: (record, False) for label, record in records.items()}, seconds, "not finished")


def report_rows(workspace: Workspace, plan: RunPlan, addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the figures of these evaluation steps (see `textbookgen.api.rows.REPORT_SCHEMA`), with the label of the `step`.

    A subject that is the label of documents that one model wrote is replaced by the label of that model.
    """
    rows = _raw_rows(workspace, addresses)
    names = _names_of_models(plan, rows)
    yield from ({**row, "subject": names.get(row["subject"], row["subject"])} for row in rows)


def names_of_models(workspace: Workspace, plan: RunPlan, addresses: Sequence[str]) -> dict[str, str]:
    """Return the label of the model for each subject of these evaluation steps that is the label of documents it wrote."""
    written = [address for address in addresses if (workspace.step(address).out / "report.parquet").exists()]
    return _names_of_models(plan, _raw_rows(workspace, written))


def _raw_rows(workspace: Workspace, addresses: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for address in addresses:
        table = complete_report(pl.read_parquet(workspace.step(address).out / "report.parquet"))
        rows += table.with_columns(step=pl.lit(address.rpartition("-")[0])).to_dicts()
    return rows


def _names_of_models(plan: RunPlan, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The models of subjects, except where two subjects would then have the same figure of one model."""
    steps = {step.label: step for step in plan.steps}
    subjects = dict.fromkeys(str(row["subject"]) for row in rows)
    writers = {subject: models for subject in subjects if subject in steps and len(models := _writers(steps, subject)) == 1}
    names = {subject: next(iter(models)) for subject, models in writers.items()}
    figures: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        key = (names.get(row["subject"], row["subject"]), row["benchmark"], row["metric"], row["subset"])
        figures.setdefault(key, set()).add(row["subject"])
    disputed = {subject for several in figures.values() if len(several) > 1 for subject in several}
    return {subject: model for subject, model in names.items() if model != subject and subject not in disputed}


def _writers(steps: Mapping[str, StepEntry], label: str) -> set[str]:
    """The labels of the models that a step, or the documents that it reads, come from; a model is its own."""
    if Checkpoint.name in steps[label].output:
        return {label}
    inputs = {earlier for labels in steps[label].inputs.values() for earlier in labels if earlier in steps}
    return {model for earlier in inputs for model in _writers(steps, earlier)}


def _step(step: StepEntry, record: StepRecord, cached: bool) -> StepSummary:
    return StepSummary(step.label, step.use, step.address, cached, **asdict(record))


def _models(
    workspace: Workspace, steps: Sequence[StepEntry], scores: Mapping[str, tuple[Score, ...]]
) -> Iterator[tuple[str, ModelSummary]]:
    for step in steps:
        if Checkpoint.name in step.output:
            card = CheckpointCard.read(workspace.step(step.address).out)
            yield (
                step.label,
                ModelSummary(
                    address=step.address,
                    parameters=card.parameters,
                    tokens=card.tokens,
                    bits_per_byte=card.bits_per_byte,
                    tokens_per_second=card.tokens_per_second,
                    scores=scores.get(step.label, ()),
                ),
            )


def _scores(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Score, ...]]:
    """Return the scores of each subject, in the order of the rows."""
    scores: dict[str, list[Score]] = {}
    for row in rows:
        scores.setdefault(row["subject"], []).append(Score(**{field.name: row[field.name] for field in fields(Score)}))
    return {subject: tuple(of_subject) for subject, of_subject in scores.items()}
