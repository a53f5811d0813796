"""Run a Filter part by part, and a CorpusFilter once over the sketches of all parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.stage import CorpusFilter, Filter
from textbookgen.run.workers.context import StepContext, count_rows, verdict_record
from textbookgen.run.workers.parts import PartTask, align_verdicts, process_parts
from textbookgen.storage.workspace import SKETCHES, VERDICTS


def run_step(context: StepContext, stage: Filter) -> StepRecord:
    """Write the verdicts of a filter, one part for each part of its input."""
    process_parts(context, stage, _decide, VERDICTS)
    return _record(context)


def run_corpus_step(context: StepContext, stage: CorpusFilter) -> StepRecord:
    """Write a sketch of every part (existing ones are kept), then the verdicts over all sketches."""
    process_parts(context, stage, _sketch, SKETCHES)
    table = context.source()
    sketches = [context.folder.part(SKETCHES, number) for number in range(len(table.parts))]
    if not sketches:
        raise RunError("the input is empty")
    context.progress(len(sketches), len(sketches), "parts", "deciding")
    prepared = stage.model_copy()
    prepared.prepare(context.inputs)
    verdicts = prepared.decide(pl.concat([pl.scan_parquet(file) for file in sketches]), table.scan())
    _write_verdicts(context, verdicts, sketches)
    return _record(context)


def _record(context: StepContext) -> StepRecord:
    return verdict_record(context.folder, count_rows(context.folder.parts(VERDICTS)))


def _decide(stage: Filter, docs: pl.DataFrame, task: PartTask[Filter]) -> pl.DataFrame:
    return align_verdicts(stage.decide(docs), docs, task.label)


def _sketch(stage: CorpusFilter, docs: pl.DataFrame, task: PartTask[CorpusFilter]) -> pl.DataFrame:
    sketches = stage.sketch(docs)
    if not sketches["id"].equals(docs["id"]):
        raise RunError(f"'{task.label}' must give one sketch per document, in the order of the documents")
    return sketches


def _write_verdicts(context: StepContext, verdicts: pl.DataFrame, sketches: Sequence[Path]) -> None:
    """Split the verdicts into parts in the same way as the sketches."""
    if verdicts["id"].n_unique() != len(verdicts):
        raise RunError(f"'{context.step.label}' gave more than one verdict for a document")
    for number, file in enumerate(sketches):
        docs = pl.read_parquet(file, columns=["id"])
        write_frame(context.folder.part(VERDICTS, number), align_verdicts(verdicts, docs, context.step.label))
