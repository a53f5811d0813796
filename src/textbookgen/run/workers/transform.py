"""Run a Transform, part by part or as one stream."""

from __future__ import annotations

import polars as pl

from textbookgen.api.events import StepRecord
from textbookgen.api.stage import Transform
from textbookgen.run.workers.context import StepContext, count_rows, with_standard_columns
from textbookgen.run.workers.parts import PartTask, process_parts
from textbookgen.run.workers.stream import write_stream
from textbookgen.storage.workspace import DATA


def run_step(context: StepContext, stage: Transform) -> StepRecord:
    """Transform every part, or write the stream of a stage that overrides `stream` in parts."""
    notes: tuple[str, ...] = ()
    if type(stage).stream is Transform.stream:
        process_parts(context, stage, _transform, DATA)
    else:
        streaming = stage.model_copy()
        context.folder.own.mkdir(parents=True, exist_ok=True)
        write_stream(context, streaming.stream(context.inputs))
        notes = tuple(streaming.notes())
    return StepRecord(rows_in=context.source().count(), rows_out=count_rows(context.folder.parts(DATA)), notes=notes)


def _transform(stage: Transform, docs: pl.DataFrame, task: PartTask[Transform]) -> pl.DataFrame:
    return with_standard_columns(stage.transform(docs), task.address, "document")
