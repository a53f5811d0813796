"""How an Evaluator is worked: once, into an empty folder; its figures become a table and a card."""

from __future__ import annotations

import json
import shutil

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.stage import Evaluator
from textbookgen.run.workers.context import StepContext


def work(context: StepContext) -> StepRecord:
    """Measures, and writes `report.parquet` and `report.json`."""
    stage = context.step.stage
    if not isinstance(stage, Evaluator):
        raise RunError(f"'{context.step.use}' measures nothing")
    shutil.rmtree(context.folder.out, ignore_errors=True)
    context.folder.out.mkdir(parents=True)
    figures = stage.evaluate(context.inputs, context.folder.out)
    missing = {"subject", "metric", "value"} - set(figures.columns)
    if missing:
        raise RunError(f"the figures of '{context.step.label}' have no column {', '.join(sorted(missing))}")
    write_frame(context.folder.out / "report.parquet", figures)
    write_text(context.folder.out / "report.json", json.dumps({"figures": figures.to_dicts()}, indent=1) + "\n")
    return StepRecord(rows_out=len(figures))
