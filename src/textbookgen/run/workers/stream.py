"""Write a stream of frames as parts of even size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.files import write_frame
from textbookgen.run.workers.context import PART_ROWS, StepContext, first_duplicate, with_standard_columns
from textbookgen.storage.workspace import DATA


def write_stream(context: StepContext, frames: Iterable[pl.DataFrame], limit: int | None = None) -> int:
    """Write the frames as data parts; parts that exist are not written again.

    Args:
        context: the step.
        frames: rows in a fixed order, in frames of any size.
        limit: the largest number of rows to read.

    Returns:
        The number of rows.

    Raises:
        RunError: two rows have the same id.
    """
    done = 0
    for number, frame in enumerate(split_into_parts(frames, limit)):
        file = context.folder.part(DATA, number)
        if not file.exists():
            write_frame(file, with_standard_columns(frame, context.step.address, "document"))
        done += len(frame)
        context.progress(done, None, "documents")
    files = context.folder.parts(DATA)
    duplicate = first_duplicate(pl.concat([pl.scan_parquet(file).select("id") for file in files])) if files else None
    if duplicate is not None:
        hint = "ids must be unique in the corpus: make them with `textbookgen.document_id`"
        raise RunError(f"two documents have the id {duplicate}", hint=hint)
    return done


def split_into_parts(frames: Iterable[pl.DataFrame], limit: int | None = None) -> Iterator[pl.DataFrame]:
    """Yield the same rows in frames of PART_ROWS rows, the last one shorter; at most `limit` rows in all."""
    waiting: list[pl.DataFrame] = []
    waiting_rows = total = 0
    for frame in frames:
        if limit is not None:
            frame = frame.head(limit - total)
        total += len(frame)
        waiting.append(frame)
        waiting_rows += len(frame)
        while waiting_rows >= PART_ROWS:
            joined = pl.concat(waiting, how="diagonal_relaxed")
            yield joined.head(PART_ROWS)
            waiting, waiting_rows = [joined.tail(-PART_ROWS)], waiting_rows - PART_ROWS
        if limit is not None and total >= limit:
            break
    if waiting_rows:
        yield pl.concat(waiting, how="diagonal_relaxed")
