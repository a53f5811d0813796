"""Replies carried from one ledger to another, as parquet: so a corpus that one paid for, others can make again for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.io.plugins import register_io_source

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.teacher import Reply
from textbookgen.storage.ledger.keys import canonical, key_of
from textbookgen.storage.ledger.store import Entry, Ledger, asked_of, request_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: The columns of the file. `request` and `teacher` are JSON, since requests differ in what they hold.
SCHEMA: dict[str, pl.DataType] = {
    "key": pl.String(),
    "teacher": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "request": pl.String(),
    "text": pl.String(),
    "finish": pl.String(),
    "cost_usd": pl.Float64(),
    "tokens_in": pl.Int64(),
    "tokens_out": pl.Int64(),
    "tokens_cached": pl.Int64(),
    "tokens_reasoning": pl.Int64(),
}
#: So many replies are in memory at once.
ROWS = 5_000
_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")


def export_parquet(ledger: Ledger, path: Path, use: str | None) -> int:
    """See `Ledger.export_parquet`."""
    count = 0

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        nonlocal count
        rows: list[dict[str, Any]] = []
        for entry in ledger.entries():
            if use is None or entry.teacher["use"] == use:
                rows.append(_row(entry))
                count += 1
            if len(rows) == ROWS:
                yield pl.DataFrame(rows, schema=SCHEMA)
                rows = []
        yield pl.DataFrame(rows, schema=SCHEMA)

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")
    source: Callable[..., Iterator[pl.DataFrame]] = frames
    register_io_source(source, schema=SCHEMA).sink_parquet(beside, row_group_size=ROWS, maintain_order=True)
    beside.replace(path)
    return count


def import_parquet(ledger: Ledger, path: Path) -> int:
    """See `Ledger.import_parquet`."""
    before = sum(spending.replies for spending in ledger.summary())
    try:
        scan = pl.scan_parquet(path, glob=False)
        missing = SCHEMA.keys() - set(scan.collect_schema().names())
        total = int(scan.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WorkspaceError(f"the file cannot be read: {error}", place=str(path)) from error
    if missing:
        raise WorkspaceError(f"this is no export of a ledger: it lacks {', '.join(sorted(missing))}", place=str(path))
    for first in range(0, total, ROWS):
        for row in scan.select(list(SCHEMA)).slice(first, ROWS).collect().iter_rows(named=True):
            _put(ledger, row, path)
        ledger.flush()
    return sum(spending.replies for spending in ledger.summary()) - before


def _row(entry: Entry) -> dict[str, Any]:
    request = entry.request
    asked = asked_of(request)
    counts = {name: getattr(entry.reply, name) for name in _COUNTS}
    told = {"text": entry.reply.text, "finish": entry.reply.finish, "cost_usd": entry.reply.cost_usd, **counts}
    return {"key": entry.key, "teacher": canonical(entry.teacher), "at": entry.at, "request": canonical(asked), **told}


def _put(ledger: Ledger, row: dict[str, Any], path: Path) -> None:
    request = request_of(json.loads(row["request"]))
    reads_draw = bool(json.loads(row["teacher"]).get("reads_draw"))
    if key_of(row["teacher"], request, reads_draw=reads_draw) != row["key"]:
        hint = "the file was damaged or changed; nothing after this reply was taken"
        raise WorkspaceError(
            f"the reply {row['key']} does not belong to what is said to have been asked", place=str(path), hint=hint
        )
    counts = {name: row[name] for name in _COUNTS}
    at: datetime = row["at"]
    ledger.put(
        row["key"],
        request,
        Reply(row["text"], finish=row["finish"], cost_usd=row["cost_usd"], **counts),
        row["teacher"],
        at=at.astimezone(UTC),
    )
