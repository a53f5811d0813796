"""The store: every reply ever paid for, found by what was asked.

One sqlite file in WAL mode, which several processes may use. A commit only writes to the log, which takes some
microseconds a reply, so it is done where the reply came in; what waits for the disk is done by a thread of its own.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Reply, Request
from textbookgen.storage.ledger.keys import canonical
from textbookgen.storage.ledger.syncing import Syncing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS teachers (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY, teacher INTEGER NOT NULL REFERENCES teachers (id), at REAL NOT NULL,
    request BLOB NOT NULL, text BLOB NOT NULL, finish TEXT NOT NULL, cost_usd REAL NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL, tokens_reasoning INTEGER NOT NULL
);
"""
_INSERT = "INSERT OR IGNORE INTO replies VALUES (?, (SELECT id FROM teachers WHERE identity = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REPLY = "text, tokens_in, tokens_out, cost_usd, finish, tokens_cached, tokens_reasoning"
_GET = f"SELECT {_REPLY} FROM replies WHERE key = ?"
_ENTRY = f"SELECT key, request, identity, at, {_REPLY} FROM replies JOIN teachers ON teachers.id = teacher"


@dataclass(frozen=True)
class Entry:
    """One reply of the ledger with all that is known of it; `teacher` is its identity: `use`, `version`, `options`."""

    key: str
    request: Request
    reply: Reply
    teacher: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class Spending:
    """What the ledger holds of one teacher; `bytes` are those of requests and replies as stored."""

    use: str
    options: Mapping[str, Any]
    replies: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    bytes: int


class Ledger:
    """Every reply ever paid for.

    Replies are put down in memory and written by the next `flush`, all that gathered in one commit. What was flushed is not
    lost to a killed process; a machine that loses its power loses those of the last tenth of a second, and the file stays
    whole. Made in the process that uses it, and usable from all of its threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._rows: list[tuple[Any, ...]] = []
        self._teachers: set[str] = set()
        self._replies: dict[str, Reply] = {}
        self._closed = False
        self._pack = zstandard.ZstdCompressor(level=3).compress  # one for all: making one takes longer than a short text
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._trouble():
            self._file = _open(path)
        self._syncing = Syncing(path)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._in_trouble(error) from error

    def _in_trouble(self, error: sqlite3.Error) -> WorkspaceError:
        """An error of sqlite as one for people."""
        hint = "the ledger holds every reply paid for: mend it with `sqlite3 ledger.sqlite .recover`, do not delete it"
        full = "disk" in str(error) or "locked" in str(error)
        return WorkspaceError(f"the ledger cannot be used: {error}", place=str(self.path), hint="" if full else hint)

    # -- one reply

    def get(self, key: str) -> Reply | None:
        """The reply to what was asked under this key; None if it never was."""
        with self._guard:
            result = self._replies.get(key)
            if result is not None:
                return result
            try:
                row = self._file.execute(_GET, (bytes.fromhex(key),)).fetchone()
            except sqlite3.Error as error:
                raise self._in_trouble(error) from error
        return None if row is None else _reply(row)

    def put(self, key: str, request: Request, reply: Reply, teacher: str, *, at: datetime | None = None) -> None:
        """Notes a reply, to be written by the next `flush`; `teacher` is its `identity`, `at` is when it came if not just now.

        A key that is there already keeps its first reply.
        """
        came = time.time() if at is None else at.timestamp()
        asked = canonical(asked_of(request)).encode()
        with self._guard:
            if self._closed:
                raise WorkspaceError("the ledger is closed", place=str(self.path))
            blobs = self._pack(asked), self._pack(reply.text.encode("utf-8", "surrogatepass"))
            tokens = (reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_reasoning)
            row = (bytes.fromhex(key), teacher, came, *blobs, reply.finish, reply.cost_usd, *tokens)
            self._rows.append(row)
            self._teachers.add(teacher)
            self._replies[key] = reply

    def flush(self) -> None:
        """Returns once everything put so far is written, whoever dies then.

        Raises:
            WorkspaceError: it could not be written; it waits for the next flush.
        """
        with self._guard:
            if not self._rows:
                return
            self._commit()
            self._rows, self._teachers, self._replies = [], set(), {}
            self._syncing.begin()

    def _commit(self) -> None:
        with self._trouble():
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany(
                    "INSERT OR IGNORE INTO teachers (identity) VALUES (?)", [(who,) for who in self._teachers]
                )
                self._file.executemany(_INSERT, self._rows)
                self._file.execute("COMMIT")
            except BaseException:
                self._file.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Writes what is left and lets go of the file."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._syncing.end()
            with self._trouble():
                self._file.close()

    # -- all replies

    def entry(self, key: str) -> Entry | None:
        """All that is known of one reply, for those who ask why a document is as it is."""
        self.flush()
        with self._guard, self._trouble():
            row = self._file.execute(f"{_ENTRY} WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return None if row is None else _entry(row)

    def entries(self) -> Iterator[Entry]:
        """All replies in the order they came."""
        self.flush()
        with self._trouble():
            connection = _open(self.path)
            try:
                for row in connection.execute(f"{_ENTRY} ORDER BY replies.rowid"):
                    yield _entry(row)
            finally:
                connection.close()

    def export_parquet(self, path: Path, *, use: str | None = None) -> int:
        """Writes all replies, or those of one teacher by what a recipe would `use`, to a parquet file; returns how many."""
        from textbookgen.storage.ledger.exchange import export_parquet

        return export_parquet(self, path, use)

    def import_parquet(self, path: Path) -> int:
        """Adds the replies of a file that `export_parquet` wrote; returns how many were new.

        Each is checked to stand under the key of what was asked, so that a damaged file does no harm.

        Raises:
            WorkspaceError: the file is no export, or a reply does not belong to its key.
        """
        from textbookgen.storage.ledger.exchange import import_parquet

        return import_parquet(self, path)

    def summary(self) -> list[Spending]:
        """How many replies there are of each teacher, and what they cost; the dearest first."""
        self.flush()
        sums = "count(*), sum(tokens_in), sum(tokens_out), sum(cost_usd), sum(length(request) + length(text))"
        query = f"SELECT identity, {sums} FROM replies JOIN teachers ON teachers.id = teacher GROUP BY teacher"
        with self._guard, self._trouble():
            rows = self._file.execute(f"{query} ORDER BY sum(cost_usd) DESC, count(*) DESC, identity").fetchall()
        return [_spending(*row) for row in rows]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    for left in range(100, -1, -1):
        try:  # sqlite does not wait for its turn when two processes make a file at once
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not left:
                raise
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _reply(row: tuple[Any, ...]) -> Reply:
    return Reply(zstandard.decompress(row[0]).decode("utf-8", "surrogatepass"), *row[1:])


def _entry(row: tuple[Any, ...]) -> Entry:
    key, asked, who, at, *reply = row
    return Entry(
        key.hex(),
        request_of(json.loads(zstandard.decompress(asked))),
        _reply(tuple(reply)),
        json.loads(who),
        datetime.fromtimestamp(at, UTC),
    )


def asked_of(request: Request) -> dict[str, Any]:
    """A request as plain values, for JSON."""
    asked: dict[str, Any] = {"messages": [[turn.role, turn.content] for turn in request.messages], "draw": request.draw}
    return asked | {"task": request.task, "sample": request.sample, "schema": request.schema}


def request_of(asked: dict[str, Any]) -> Request:
    """The request that `asked_of` gave as plain values."""
    messages = tuple(Message(role, content) for role, content in asked.pop("messages"))
    return Request(messages, **asked)


def _spending(who: str, *sums: Any) -> Spending:
    identity = json.loads(who)
    return Spending(identity["use"], identity["options"], *sums)
