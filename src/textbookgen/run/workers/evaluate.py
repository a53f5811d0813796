"""Run an Evaluator: once, into an empty folder; its figures become a table and a card."""

from __future__ import annotations

import shutil

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame, write_json
from textbookgen.api.rows import complete_report
from textbookgen.api.stage import Evaluator
from textbookgen.run.workers.context import StepContext


def run_step(context: StepContext, stage: Evaluator) -> StepRecord:
    """Evaluate, and write `report.parquet` and `report.json`."""
    out = context.folder.out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    figures = stage.evaluate(context.inputs, out)
    missing = {"subject", "metric", "value"} - set(figures.columns)
    if missing:
        raise RunError(f"the figures of '{context.step.label}' lack the column {', '.join(sorted(missing))}")
    figures = complete_report(figures)
    write_frame(out / "report.parquet", figures)
    write_json(out / "report.json", {"figures": figures.to_dicts()})
    return StepRecord(rows_out=len(figures))
