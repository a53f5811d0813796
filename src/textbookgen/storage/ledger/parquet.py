"""Export and import of ledgers as parquet files, to share a paid corpus so that others can rebuild it without paying."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.files import atomic_path
from textbookgen.api.teacher import Reply, Request
from textbookgen.storage.ledger.keys import canonical_json, ledger_key
from textbookgen.storage.ledger.records import LedgerEntry, request_from_dict, request_to_dict
from textbookgen.storage.ledger.store import Ledger

#: The columns of the file. `request` and `teacher` are JSON, since their fields differ between requests and teachers.
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
#: Replies held in memory at once, and rows of a row group.
BATCH_ROWS = 5_000
_TOKEN_COUNTS = ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")


def export_parquet(ledger: Ledger, path: Path, *, use: str | None = None) -> int:
    """Write replies to a parquet file, in batches, and return how many.

    Args:
        ledger: the ledger to read.
        path: the file to create or replace.
        use: export only the replies of the teacher that recipes select by this name.
    """
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
            if len(rows) == BATCH_ROWS:
                yield pl.DataFrame(rows, schema=SCHEMA)
                rows = []
        yield pl.DataFrame(rows, schema=SCHEMA)

    source: Callable[..., Iterator[pl.DataFrame]] = frames
    with atomic_path(path) as temporary:
        register_io_source(source, schema=SCHEMA).sink_parquet(temporary, row_group_size=BATCH_ROWS, maintain_order=True)
    return count


def import_parquet(ledger: Ledger, path: Path) -> int:
    """Add the replies of a file written by `export_parquet`, and return how many were new.

    The key of every reply is recomputed from its request, so a damaged or edited file cannot corrupt the ledger.

    Raises:
        WorkspaceError: the file is not an export, or a reply's key does not match its request. Replies before that one
            may have been imported.
    """
    replies_before = _count(ledger)
    try:
        scan = pl.scan_parquet(path, glob=False)
        missing = SCHEMA.keys() - set(scan.collect_schema().names())
        total = int(scan.select(pl.len()).collect().item())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise WorkspaceError(f"cannot read the file as parquet: {error}", place=str(path)) from error
    if missing:
        raise WorkspaceError(
            f"not a ledger export: missing columns {', '.join(sorted(missing))}",
            place=str(path),
            hint="write one with `textbookgen teacher ledger --export FILE`",
        )
    for first in range(0, total, BATCH_ROWS):
        for row in scan.select(list(SCHEMA)).slice(first, BATCH_ROWS).collect().iter_rows(named=True):
            _put(ledger, row, _checked_request(row, path))
        ledger.flush()
    return _count(ledger) - replies_before


def _count(ledger: Ledger) -> int:
    return sum(totals.replies for totals in ledger.totals())


def _row(entry: LedgerEntry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "teacher": canonical_json(entry.teacher),
        "at": entry.at,
        "request": canonical_json(request_to_dict(entry.request)),
        "text": entry.reply.text,
        "finish": entry.reply.finish,
        "cost_usd": entry.reply.cost_usd,
        **{name: getattr(entry.reply, name) for name in _TOKEN_COUNTS},
    }


def _checked_request(row: dict[str, Any], path: Path) -> Request:
    """Return a row's request, after comparing the row's key with that of the request and the teacher."""
    try:
        request = request_from_dict(json.loads(row["request"]))
        reads_draw = bool(json.loads(row["teacher"]).get("reads_draw"))
        if ledger_key(row["teacher"], request, reads_draw=reads_draw) == row["key"]:
            return request
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # not the JSON that an export contains: reported like any other change
    raise WorkspaceError(
        f"key mismatch: reply {row['key']} does not belong to its request",
        place=str(path),
        hint="the file was damaged or edited; this reply and those after it were not imported: get the file again",
    )


def _put(ledger: Ledger, row: dict[str, Any], request: Request) -> None:
    at: datetime = row["at"]
    counts = {name: row[name] for name in _TOKEN_COUNTS}
    reply = Reply(row["text"], finish=row["finish"], cost_usd=row["cost_usd"], **counts)
    ledger.put(row["key"], request, reply, row["teacher"], at=at.astimezone(UTC))
