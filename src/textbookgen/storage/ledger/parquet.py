"""Export and import of ledgers as parquet files, to share a paid corpus so that others can rebuild it without paying."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import polars as pl
from polars.io.plugins import register_io_source

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.files import atomic_path
from textbookgen.api.teacher import Finish, Reply, Request
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
#: What reading a file raises that is damaged, or holds times that Python cannot represent.
_UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException, ArithmeticError, ValueError)
_GET_AGAIN = "the file was damaged or edited: get it again"
_MAX_TOKENS = 2**53  # more than any reply has, and few enough to be summed
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
        schema = scan.collect_schema()
        wrong = sorted(name for name, kind in SCHEMA.items() if schema.get(name) != kind)
        if wrong:
            problem = f"not a ledger export: missing or of another type: {', '.join(wrong)}"
            raise WorkspaceError(problem, place=str(path), hint="write one with `textbookgen teacher ledger --export FILE`")
        total = int(scan.select(pl.len()).collect().item())
        for first in range(0, total, BATCH_ROWS):
            for row in scan.select(list(SCHEMA)).slice(first, BATCH_ROWS).collect().iter_rows(named=True):
                request, reply, identity, at = _checked(row, path)
                ledger.put(row["key"], request, reply, identity, at=at)
            ledger.flush()
    except _UNREADABLE as error:
        raise WorkspaceError(f"cannot read the file as parquet: {error}", place=str(path), hint=_GET_AGAIN) from error
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


def _checked(row: dict[str, Any], path: Path) -> tuple[Request, Reply, str, datetime]:
    """Return what a row holds, in the order that `Ledger.put` takes it, after comparing its key and checking its figures."""
    problem = f"key mismatch: reply {row['key']} does not belong to its request"
    try:
        request = request_from_dict(json.loads(row["request"]))
        teacher = json.loads(row["teacher"])
        if ledger_key(row["teacher"], request, reads_draw=bool(teacher.get("reads_draw"))) == row["key"]:
            problem = f"impossible figures of reply {row['key']}"
            if _is_teacher(teacher) and _is_reply(row):
                counts = {name: row[name] for name in _TOKEN_COUNTS}
                reply = Reply(row["text"], finish=row["finish"], cost_usd=row["cost_usd"], **counts)
                return request, reply, row["teacher"], row["at"].astimezone(UTC)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        pass  # not the JSON that an export contains: reported like any other change
    raise WorkspaceError(problem, place=str(path), hint=f"this reply and those after it were not imported: {_GET_AGAIN}")


def _is_teacher(teacher: Any) -> bool:
    """Return whether a value has what every identity of a teacher has, which totals and traces read."""
    return isinstance(teacher.get("use"), str) and isinstance(teacher.get("options"), dict)


def _is_reply(row: dict[str, Any]) -> bool:
    """Return whether a row has a text, and counts and a cost that a reply can have."""
    counts = all(row[name] is not None and 0 <= row[name] <= _MAX_TOKENS for name in _TOKEN_COUNTS)
    cost = row["cost_usd"] is not None and math.isfinite(row["cost_usd"]) and row["cost_usd"] >= 0
    return counts and cost and row["text"] is not None and row["finish"] in get_args(Finish)
