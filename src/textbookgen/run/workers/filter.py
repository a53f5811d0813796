"""How judges are worked: verdicts part by part, or once over the sketches of all parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.stage import CorpusFilter, Filter
from textbookgen.run.workers.context import StepContext, rows_in, verdict_record, views
from textbookgen.run.workers.parts import aligned, work_parts
from textbookgen.storage.workspace import SKETCHES, VERDICTS


def work(context: StepContext) -> StepRecord:
    """Writes the verdicts of a Judge, aligned part for part with what was judged."""
    if not isinstance(context.step.stage, Filter):
        raise RunError(f"'{context.step.use}' is no judge")
    work_parts(context, "judge", VERDICTS)
    return verdict_record(context.folder, rows_in(context.folder.parts(VERDICTS)))


def work_corpus(context: StepContext) -> StepRecord:
    """Sketches every part (parts that are there are kept), then judges once over all sketches."""
    stage = context.step.stage
    if not isinstance(stage, CorpusFilter):
        raise RunError(f"'{context.step.use}' is no judge of a corpus")
    work_parts(context, "sketch", SKETCHES)
    table = context.source()
    sketches = [context.folder.part(SKETCHES, number) for number, _ in views(table)]
    context.progress(len(sketches), len(sketches), "parts", "judging")
    ready = stage.model_copy()
    ready.prepare(context.inputs)
    verdicts = ready.decide(_scan(sketches), table.scan())
    _write(context, verdicts, sketches)
    return verdict_record(context.folder, rows_in(context.folder.parts(VERDICTS)))


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    if not files:
        raise RunError("nothing flows in")
    return pl.concat([pl.scan_parquet(file) for file in files])


def _write(context: StepContext, verdicts: pl.DataFrame, sketches: Sequence[Path]) -> None:
    """Splits the verdicts into parts as the sketches are."""
    if verdicts["id"].n_unique() != len(verdicts):
        raise RunError(f"'{context.step.label}' gave more than one verdict for a document")
    for number, file in enumerate(sketches):
        docs = pl.read_parquet(file, columns=["id"])
        write_frame(context.folder.part(VERDICTS, number), aligned(verdicts, docs, context.step.label))
