"""How a Source is worked: frames become parts of even size."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.stage import Source
from textbookgen.run.workers.context import PART_ROWS, StepContext, rows_in, signed
from textbookgen.storage.workspace import DATA


def work(context: StepContext) -> StepRecord:
    """Reads all there is (or up to the plan's limit), a part at a time; parts that are there are not written again."""
    stage = context.step.stage
    if not isinstance(stage, Source):
        raise RunError(f"'{context.step.use}' is no source")
    done = 0
    for number, frame in enumerate(in_parts(stage.read(), context.step.limit)):
        file = context.folder.part(DATA, number)
        if not file.exists():
            write_frame(file, signed(frame, context.step.address, "document"))
        done += len(frame)
        context.progress(done, None, "documents", "")
    if not done:
        raise RunError("nothing was read", hint="look at the path, and at the options that leave documents out")
    refuse_duplicates(context)
    return StepRecord(rows_in=done, rows_out=rows_in(context.folder.parts(DATA)))


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


def refuse_duplicates(context: StepContext) -> None:
    """Looks that no two documents written have the same id.

    Raises:
        RunError: two have.
    """
    if not context.folder.parts(DATA):
        return
    rows = pl.concat([pl.scan_parquet(file).select("id") for file in context.folder.parts(DATA)])
    duplicates = rows.group_by("id").len().filter(pl.col("len") > 1).head(1).collect()
    if len(duplicates):
        raise RunError(
            f"two documents have the id {duplicates['id'][0]}",
            hint="an id is unique in the corpus: see `artifacts.document_id`",
        )
