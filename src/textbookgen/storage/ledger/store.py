"""The ledger's store: one sqlite file in WAL mode, which several processes may use at once.

A commit appends to the write-ahead log and takes microseconds a reply, so it runs in the event loop that received the reply.
Syncing to disk runs in a separate thread (`wal_sync`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import zstandard

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.full_disks import disk_full, writing
from textbookgen.api.teacher import Reply, Request
from textbookgen.storage.ledger.keys import canonical_json
from textbookgen.storage.ledger.records import LedgerEntry, TeacherTotals, request_from_dict, request_to_dict
from textbookgen.storage.ledger.wal_sync import WalSyncer

Read = TypeVar("Read")

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

#: Seconds that a commit waits for another process to finish its own.
_LOCK_TIMEOUT = 60
_MAX_BLOB = 2**30  # bytes of a decompressed request or reply
_DELETE = """`sqlite3 ledger.sqlite "DELETE FROM replies WHERE key = x'%s'"`"""
#: What to do, by the primary result code of sqlite (https://www.sqlite.org/rescode.html).
_HINTS = {
    sqlite3.SQLITE_IOERR: "check the disk and the file system, then run the same command again; stored replies are reused",
    sqlite3.SQLITE_BUSY: "another process has locked the ledger; wait for it or end it, then run the same command again",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and is writable for this user",
}
_RECOVER = "the ledger holds every paid reply: repair it with `sqlite3 ledger.sqlite .recover`, do not delete it"


class Ledger:
    """Every reply that was received, by ledger key.

    `put` buffers a reply in memory; `flush` commits everything buffered in one transaction (group commit). A flushed reply
    survives a killed process. A power failure loses at most the last tenth of a second and leaves the file consistent.
    An instance belongs to the process that created it and may be used from all its threads.

    Raises:
        WorkspaceError: the file cannot be opened, or is not a ledger.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._pending_rows: list[tuple[Any, ...]] = []
        self._pending_identities: set[str] = set()
        self._pending_replies: dict[str, Reply] = {}
        self._closed = False
        self._compress = zstandard.ZstdCompressor(
            level=3, write_checksum=True
        ).compress  # reused: building one costs more than a short text
        _create(path)
        with self._translate_errors():
            self._connection = _connect(path)
        self._syncer = WalSyncer(path)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._workspace_error(error) from error

    def _workspace_error(self, error: sqlite3.Error) -> WorkspaceError:
        full = disk_full(error, self.path)
        if full is not None:
            return full
        code = getattr(error, "sqlite_errorcode", None)  # absent where the Python module itself raised
        hint = _HINTS.get(code & 0xFF, _RECOVER) if code is not None else _RECOVER
        return WorkspaceError(f"cannot use the ledger: {error}", place=str(self.path), hint=hint)

    def _read(self, key: str, read: Callable[[tuple[Any, ...]], Read], row: tuple[Any, ...]) -> Read:
        """Return what a row holds.

        Raises:
            WorkspaceError: its bytes have changed since they were written.
        """
        try:
            return read(row)
        except (zstandard.ZstdError, ValueError, KeyError, TypeError, RecursionError) as error:
            hint = f"restore the ledger from a copy; or delete this reply, to pay for it again: {_DELETE % key}"
            raise WorkspaceError(f"the stored reply {key} is damaged: {error}", place=str(self.path), hint=hint) from error

    # -- one reply

    def get(self, key: str) -> Reply | None:
        """Return the reply stored under a key, or None. Replies not flushed yet are included."""
        with self._lock:
            pending = self._pending_replies.get(key)
            if pending is not None:
                return pending
            try:  # not `_translate_errors`: a context manager would be a measurable part of this call
                row = self._connection.execute(_GET, (bytes.fromhex(key),)).fetchone()
            except sqlite3.Error as error:
                raise self._workspace_error(error) from error
        return None if row is None else self._read(key, _reply, row)

    def put(self, key: str, request: Request, reply: Reply, identity: str, *, at: datetime | None = None) -> None:
        """Buffer a reply; the next `flush` stores it. A key that is already stored keeps its first reply.

        Args:
            key: the ledger key of the request.
            request: the request.
            reply: the reply.
            identity: the teacher's `teacher_identity`.
            at: when the reply was received; now by default.

        Raises:
            WorkspaceError: the ledger is closed.
            RunError: the request cannot be written as JSON.
        """
        received = time.time() if at is None else at.timestamp()
        request_json = canonical_json(request_to_dict(request)).encode()
        with self._lock:
            if self._closed:
                raise WorkspaceError("the ledger is closed", place=str(self.path))
            blobs = self._compress(request_json), self._compress(reply.text.encode("utf-8", "surrogatepass"))
            tokens = (reply.tokens_in, reply.tokens_out, reply.tokens_cached, reply.tokens_reasoning)
            self._pending_rows.append((bytes.fromhex(key), identity, received, *blobs, reply.finish, reply.cost_usd, *tokens))
            self._pending_identities.add(identity)
            self._pending_replies[key] = reply

    def flush(self) -> None:
        """Commit all buffered replies in one transaction; on return they survive the end of the process.

        Raises:
            WorkspaceError: the commit failed; the replies stay buffered for the next flush.
        """
        with self._lock:
            if not self._pending_rows:
                return
            self._commit()
            self._pending_rows, self._pending_identities, self._pending_replies = [], set(), {}
            self._syncer.notify()

    def _commit(self) -> None:
        with self._translate_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(
                    "INSERT OR IGNORE INTO teachers (identity) VALUES (?)",
                    [(identity,) for identity in self._pending_identities],
                )
                self._connection.executemany(_INSERT, self._pending_rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Flush, sync and close the file.

        Raises:
            WorkspaceError: the last commit failed.
        """
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._syncer.close()
            with self._translate_errors():
                self._connection.close()

    # -- all replies

    def entry(self, key: str) -> LedgerEntry | None:
        """Return one reply with its request and teacher, or None."""
        self.flush()
        with self._lock, self._translate_errors():
            row = self._connection.execute(f"{_ENTRY} WHERE key = ?", (bytes.fromhex(key),)).fetchone()
        return None if row is None else self._read(key, _entry, row)

    def entries(self) -> Iterator[LedgerEntry]:
        """Yield all replies in the order they were stored."""
        self.flush()
        with self._translate_errors():
            connection = _connect(self.path)
            try:
                for row in connection.execute(f"{_ENTRY} ORDER BY replies.rowid"):
                    yield self._read(row[0].hex(), _entry, row)
            finally:
                connection.close()

    def totals(self) -> list[TeacherTotals]:
        """Return replies, tokens, cost and size by teacher, the most expensive first."""
        self.flush()
        sums = "count(*), sum(tokens_in), sum(tokens_out), sum(cost_usd), sum(length(request) + length(text))"
        query = f"SELECT identity, {sums} FROM replies JOIN teachers ON teachers.id = teacher GROUP BY teacher"
        with self._lock, self._translate_errors():
            rows = self._connection.execute(f"{query} ORDER BY sum(cost_usd) DESC, count(*) DESC, identity").fetchall()
        return [_totals(*row) for row in rows]


def _create(path: Path) -> None:
    """Create an empty file, readable by its owner only, unless the ledger exists; sqlite gives its other files the same mode.

    Raises:
        WorkspaceError: the file or its folder cannot be created.
    """
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        hint = _HINTS[sqlite3.SQLITE_CANTOPEN]
        raise WorkspaceError(f"cannot use the ledger: {error.strerror or error}", place=str(path), hint=hint) from error


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    for attempts_left in range(100, -1, -1):
        try:  # sqlite ignores its timeout when two processes switch a new file to WAL at once
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not attempts_left:
                raise
            time.sleep(0.05)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    return connection


def _reply(row: tuple[Any, ...]) -> Reply:
    return Reply(_decompress(row[0]).decode("utf-8", "surrogatepass"), *row[1:])


def _decompress(blob: bytes) -> bytes:
    """Return the content of a blob, after comparing its checksum; refuse a size that no request or reply has."""
    if zstandard.frame_content_size(blob) > _MAX_BLOB:
        raise ValueError("its size is damaged")
    return zstandard.decompress(blob)


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    key, request, identity, at, *reply = row
    return LedgerEntry(
        key.hex(),
        request_from_dict(json.loads(_decompress(request))),
        _reply(tuple(reply)),
        json.loads(identity),
        datetime.fromtimestamp(at, UTC),
    )


def _totals(identity: str, *sums: Any) -> TeacherTotals:
    teacher = json.loads(identity)
    return TeacherTotals(teacher["use"], teacher["options"], *sums)
