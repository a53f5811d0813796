"""Background syncing of a sqlite write-ahead log: fsync after commits, checkpoint when the log has grown.

Both wait for the disk, so a separate thread does them, and a commit never waits.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

#: Seconds between two fsyncs: how much a power failure can lose. A killed process loses nothing that was committed.
SYNC_SECONDS = 0.1
#: Size in bytes above which the log is checkpointed into the database file.
MAX_LOG_BYTES = 4 * 2**20


class WalSyncer:
    """Syncs the write-ahead log of one sqlite file after each `notify`, until `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def notify(self) -> None:
        """Report a commit; it is synced within `SYNC_SECONDS`."""
        if not self._dirty.is_set():
            self._dirty.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger-sync", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Sync a last time and end the thread."""
        self._closing.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(SYNC_SECONDS)
            self._dirty.clear()
            with suppress(OSError):  # a checkpoint has removed the log; or the disk fails, which the next commit reports
                self._sync()

    def _sync(self) -> None:
        with self._log.open("rb+") as log:
            os.fsync(log.fileno())
            checkpoint_due = os.fstat(log.fileno()).st_size > MAX_LOG_BYTES
        if checkpoint_due:
            # With another process in the way this checkpoint is skipped; a later sync tries again.
            with closing(sqlite3.connect(self._path, timeout=0)) as connection, suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
