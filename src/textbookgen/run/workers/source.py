"""Run a Source: read its frames and write them as parts."""

from __future__ import annotations

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.stage import Source
from textbookgen.run.workers.context import StepContext, count_rows
from textbookgen.run.workers.stream import write_stream
from textbookgen.storage.workspace import DATA


def run_step(context: StepContext, stage: Source) -> StepRecord:
    """Read all documents, or as many as the limit of the plan allows."""
    rows = write_stream(context, stage.read(), context.step.limit)
    if not rows:
        raise RunError("no documents were read", hint="check the path, and the options that exclude documents")
    return StepRecord(rows_in=rows, rows_out=count_rows(context.folder.parts(DATA)))
