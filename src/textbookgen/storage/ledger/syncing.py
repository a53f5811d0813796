"""Syncing: what was written to a sqlite log is made to survive the machine, and the log is taken into its file in time.

Both wait for the disk, so a thread of their own does them. A commit then writes and never waits.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

#: What was written survives the process at once; so often, in seconds, it is made to survive the machine, too.
SYNC_SECONDS = 0.1
#: The log is taken into the file when it is longer than this, in bytes.
LOG_BYTES = 4 * 2**20


class Syncing:
    """Keeps the log of one sqlite file synced and short, from `begin` on, until `end`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._written = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Says that something was written just now."""
        if not self._written.is_set():
            self._written.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Syncs a last time."""
        self._over.set()
        self._written.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            self._written.wait()
            self._over.wait(SYNC_SECONDS)
            self._written.clear()
            with suppress(OSError):  # gone with a checkpoint, which syncs; or a disk in trouble, which the next commit meets
                self._sync()

    def _sync(self) -> None:
        with self._log.open("rb+") as log:
            os.fsync(log.fileno())
            long = os.fstat(log.fileno()).st_size > LOG_BYTES
        if long:
            with closing(sqlite3.connect(self._path, timeout=0)) as file, suppress(sqlite3.OperationalError):  # its turn comes
                file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
