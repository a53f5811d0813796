"""How a Source is worked: frames become parts of even size."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.stage import Source
from textbookgen.workers.bench import PART_ROWS, Bench, rows_in, signed
from textbookgen.workspace import DATA, write_frame


def work(bench: Bench) -> Record:
    """Reads all there is (or up to the plan's limit), a part at a time; parts that are there are not written again."""
    stage = bench.step.stage
    if not isinstance(stage, Source):
        raise RunError(f"'{bench.step.use}' is no source")
    done = 0
    for number, frame in enumerate(in_parts(stage.read(), bench.step.limit)):
        file = bench.folder.part(DATA, number)
        if not file.exists():
            write_frame(file, signed(frame, bench.step.address, "document"))
        done += len(frame)
        bench.progress(done, None, "documents", "")
    if not done:
        raise RunError("nothing was read", hint="look at the path, and at the options that leave documents out")
    refuse_twins(bench)
    return Record(rows_in=done, rows_out=rows_in(bench.folder.parts(DATA)))


def in_parts(frames: Iterator[pl.DataFrame], limit: int | None) -> Iterator[pl.DataFrame]:
    """The rows again, PART_ROWS to a frame, whatever the frames they came in."""
    waiting: list[pl.DataFrame] = []
    rows, given = 0, 0
    for frame in frames:
        if limit is not None:
            frame = frame.head(limit - given)
        given += len(frame)
        waiting.append(frame)
        rows += len(frame)
        while rows >= PART_ROWS:
            joined = pl.concat(waiting, how="diagonal_relaxed")
            yield joined.head(PART_ROWS)
            waiting, rows = [joined.tail(-PART_ROWS)], rows - PART_ROWS
        if limit is not None and given >= limit:
            break
    if rows:
        yield pl.concat(waiting, how="diagonal_relaxed")


def refuse_twins(bench: Bench) -> None:
    """Looks that no two documents written have the same id.

    Raises:
        RunError: two have.
    """
    if not bench.folder.parts(DATA):
        return
    rows = pl.concat([pl.scan_parquet(file).select("id") for file in bench.folder.parts(DATA)])
    twins = rows.group_by("id").len().filter(pl.col("len") > 1).head(1).collect()
    if len(twins):
        raise RunError(
            f"two documents have the id {twins['id'][0]}", hint="an id is unique in the corpus: see `artifacts.document_id`"
        )
