"""How judges are worked: verdicts part by part, or once over the sketches of all parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.stage import CorpusJudge, Judge
from textbookgen.workers.bench import Bench, rows_in, verdict_record, views
from textbookgen.workers.parts import aligned, work_parts
from textbookgen.workspace import SKETCHES, VERDICTS, write_frame


def work(bench: Bench) -> Record:
    """Writes the verdicts of a Judge, aligned part for part with what was judged."""
    if not isinstance(bench.step.stage, Judge):
        raise RunError(f"'{bench.step.use}' is no judge")
    work_parts(bench, "judge", VERDICTS)
    return verdict_record(bench.folder, rows_in(bench.folder.parts(VERDICTS)))


def work_corpus(bench: Bench) -> Record:
    """Sketches every part (parts that are there are kept), then judges once over all sketches."""
    stage = bench.step.stage
    if not isinstance(stage, CorpusJudge):
        raise RunError(f"'{bench.step.use}' is no judge of a corpus")
    work_parts(bench, "sketch", SKETCHES)
    table = bench.source()
    sketches = [bench.folder.part(SKETCHES, number) for number, _ in views(table)]
    bench.progress(len(sketches), len(sketches), "parts", "judging")
    ready = stage.model_copy()
    ready.prepare(bench.given)
    verdicts = ready.judge(_scan(sketches), table.scan())
    _write(bench, verdicts, sketches)
    return verdict_record(bench.folder, rows_in(bench.folder.parts(VERDICTS)))


def _scan(files: Sequence[Path]) -> pl.LazyFrame:
    if not files:
        raise RunError("nothing flows in")
    return pl.concat([pl.scan_parquet(file) for file in files])


def _write(bench: Bench, verdicts: pl.DataFrame, sketches: Sequence[Path]) -> None:
    """Splits the verdicts into parts as the sketches are."""
    if verdicts["id"].n_unique() != len(verdicts):
        raise RunError(f"'{bench.step.label}' gave more than one verdict for a document")
    for number, file in enumerate(sketches):
        docs = pl.read_parquet(file, columns=["id"])
        write_frame(bench.folder.part(VERDICTS, number), aligned(verdicts, docs, bench.step.label))
