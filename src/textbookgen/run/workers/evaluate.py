"""Run an Evaluator: once, into an empty folder; its figures become a table and a card."""

from __future__ import annotations

import shutil
from dataclasses import replace

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame, write_json
from textbookgen.api.rows import complete_report
from textbookgen.api.stage import Evaluator
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.run.workers.asked_teachers import AskedTeachers
from textbookgen.run.workers.context import StepContext


def run_step(context: StepContext, stage: Evaluator) -> StepRecord:
    """Evaluate, and write `report.parquet` and `report.json`."""
    out = context.folder.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if not isinstance(stage, TeacherEvaluator):
        return StepRecord(rows_out=_write(context, stage.evaluate(context.inputs, out)))
    with AskedTeachers(context, stage) as asked:
        inputs = replace(context.inputs, teachers=asked.clients, render=context.prompts.render)
        return asked.record(_write(context, stage.evaluate(inputs, out)))


def _write(context: StepContext, figures: pl.DataFrame) -> int:
    """Write the figures, and return how many there are."""
    missing = {"subject", "metric", "value"} - set(figures.columns)
    if missing:
        raise RunError(f"the figures of '{context.step.label}' lack the column {', '.join(sorted(missing))}")
    figures = complete_report(figures)
    write_frame(context.folder.out / "report.parquet", figures)
    write_json(context.folder.out / "report.json", {"figures": figures.to_dicts()})
    return len(figures)
