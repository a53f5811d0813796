"""The store: every reply ever paid for, found by what was asked.

One sqlite file in WAL mode. Readers never wait. Replies are written by one thread in groups, so that a commit costs
many replies no more than one; several processes may use the same file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textbookgen.errors import WorkspaceError
from textbookgen.ledger.keys import canonical
from textbookgen.teacher import Message, Reply, Request

#: A group of replies is begun at most so often, in seconds, unless who puts them can wait longer: for replies to gather.
GROUP_SECONDS = 0.002
#: Groups survive the process as soon as they are written; so often, in seconds, they are made to survive the machine, too.
SYNC_SECONDS = 0.1

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


@dataclass
class _Group:
    """Replies that are written together; `kept` is done once they are on disk."""

    rows: list[tuple[str, Request, Reply, str, float]] = field(default_factory=list)
    replies: dict[str, Reply] = field(default_factory=dict)
    kept: Future[None] = field(default_factory=Future)


class Ledger:
    """Every reply ever paid for.

    A reply that is kept is not lost to a killed process; a machine that loses its power loses those of the last tenth of a
    second, and the file stays whole. Made in the process that uses it, and usable from all of its threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Condition()
        self._waiting = _Group()
        self._writing = _Group()
        self._hurry = threading.Event()
        self._closing = False
        self._unsynced_since: float | None = None
        self._pause = GROUP_SECONDS
        self._thread: threading.Thread | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._trouble():
            self._writer = _open(path)
            self._reader = _open(path)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Turns sqlite's errors into one for people."""
        try:
            yield
        except sqlite3.Error as error:
            hint = "the ledger holds every reply paid for: mend it with `sqlite3 ledger.sqlite .recover`, do not delete it"
            full = "disk" in str(error) or "locked" in str(error)
            raise WorkspaceError(
                f"the ledger cannot be used: {error}", place=str(self.path), hint="" if full else hint
            ) from error

    # -- one reply

    def get(self, key: str) -> Reply | None:
        """The reply to what was asked under this key; None if it never was."""
        with self._guard:
            found = self._waiting.replies.get(key) or self._writing.replies.get(key)
            if found is not None:
                return found
            with self._trouble():
                row = self._reader.execute(f"SELECT {_REPLY} FROM replies WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return None if row is None else _reply(row)

    def put(
        self, key: str, request: Request, reply: Reply, teacher: str, *, at: datetime | None = None, within: float = 0.0
    ) -> Future[None]:
        """Writes down a reply; `teacher` is its `identity`. The future is done once the reply is written, whoever dies.

        A key that is there already keeps its first reply. `at` is when it came, if not just now; `within` is how many
        seconds it may wait for others to be written with.
        """
        came = time.time() if at is None else at.timestamp()
        with self._guard:
            if self._closing:
                raise WorkspaceError("the ledger is closed", place=str(self.path))
            self._pause = max(within, GROUP_SECONDS)
            group = self._waiting
            group.rows.append((key, request, reply, teacher, came))
            group.replies[key] = reply
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_groups, name="ledger", daemon=True)
                self._thread.start()
            elif len(group.rows) == 1:
                self._guard.notify()
        return group.kept

    def flush(self) -> None:
        """Returns once everything put so far is on disk.

        Raises:
            WorkspaceError: it could not be written.
        """
        with self._guard:
            groups = [group for group in (self._writing, self._waiting) if group.rows]
        self._hurry.set()
        for group in groups:
            group.kept.result()

    def close(self) -> None:
        """Writes what is left and lets go of the file."""
        with self._guard:
            if self._closing:
                return
            self._closing = True
            self._guard.notify()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join()
        with self._trouble():
            self._writer.close()
            self._reader.close()

    # -- the writing thread

    def _write_groups(self) -> None:
        while True:
            with self._guard:
                self._guard.wait_for(lambda: self._waiting.rows or self._closing, self._until_sync())
                group, self._waiting = self._waiting, _Group()
                self._writing = group
                closing = self._closing
            began = time.monotonic()
            if group.rows:
                self._write(group)
            if closing or self._until_sync() == 0:
                self._sync()
            if closing:
                return
            if group.rows:
                self._hurry.wait(self._pause - (time.monotonic() - began))
                self._hurry.clear()

    def _write(self, group: _Group) -> None:
        try:
            self._commit([_row(*row) for row in group.rows], {row[3] for row in group.rows})
        except Exception as error:  # raised where the reply is waited for
            group.kept.set_exception(error)
        else:
            group.kept.set_result(None)
        if self._unsynced_since is None:
            self._unsynced_since = time.monotonic()
        with self._guard:
            self._writing = _Group()

    def _until_sync(self) -> float | None:
        """Seconds until what was written must be made to survive the machine; None if there is nothing."""
        if self._unsynced_since is None:
            return None
        return max(0.0, SYNC_SECONDS - (time.monotonic() - self._unsynced_since))

    def _sync(self) -> None:
        """Sqlite syncs its log at checkpoints only, as it is set here; a sync for each group would cost more than all else."""
        self._unsynced_since = None
        log = self.path.with_name(self.path.name + "-wal")
        with suppress(FileNotFoundError), log.open("rb+") as written:  # not there: a checkpoint took it into the file, synced
            os.fsync(written.fileno())

    def _commit(self, rows: list[tuple[Any, ...]], teachers: set[str]) -> None:
        with self._trouble():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany("INSERT OR IGNORE INTO teachers (identity) VALUES (?)", [(who,) for who in teachers])
                self._writer.executemany(_INSERT, rows)
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise

    # -- all replies

    def entry(self, key: str) -> Entry | None:
        """All that is known of one reply, for those who ask why a document is as it is."""
        self.flush()
        with self._guard, self._trouble():
            row = self._reader.execute(f"{_ENTRY} WHERE key = ?", (bytes.fromhex(key),)).fetchone()
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
        from textbookgen.ledger.exchange import export_parquet

        return export_parquet(self, path, use)

    def import_parquet(self, path: Path) -> int:
        """Adds the replies of a file that `export_parquet` wrote; returns how many were new.

        Each is checked to stand under the key of what was asked, so that a damaged file does no harm.

        Raises:
            WorkspaceError: the file is no export, or a reply does not belong to its key.
        """
        from textbookgen.ledger.exchange import import_parquet

        return import_parquet(self, path)

    def summary(self) -> list[Spending]:
        """How many replies there are of each teacher, and what they cost; the dearest first."""
        self.flush()
        sums = "count(*), sum(tokens_in), sum(tokens_out), sum(cost_usd), sum(length(request) + length(text))"
        query = f"SELECT identity, {sums} FROM replies JOIN teachers ON teachers.id = teacher GROUP BY teacher"
        with self._guard, self._trouble():
            rows = self._reader.execute(f"{query} ORDER BY sum(cost_usd) DESC, count(*) DESC, identity").fetchall()
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
    return connection


def _row(key: str, request: Request, reply: Reply, teacher: str, at: float) -> tuple[Any, ...]:
    tokens = (reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_reasoning)
    blobs = (zlib.compress(canonical(asked_of(request)).encode()), zlib.compress(reply.text.encode("utf-8", "surrogatepass")))
    return (bytes.fromhex(key), teacher, at, *blobs, reply.finish, reply.cost_usd, *tokens)


def _reply(row: tuple[Any, ...]) -> Reply:
    return Reply(zlib.decompress(row[0]).decode("utf-8", "surrogatepass"), *row[1:])


def _entry(row: tuple[Any, ...]) -> Entry:
    key, asked, who, at, *reply = row
    return Entry(
        key.hex(),
        request_of(json.loads(zlib.decompress(asked))),
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
