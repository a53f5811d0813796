"""Full disks: one error for every way in which a write can fail because the disk has no space left.

Python raises an OSError with a number; polars, tokenizers, sqlite, numpy and torch raise other errors, with only a text. This
module is the only place that knows these numbers and texts.
"""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textbookgen.api.errors import TextbookgenError, WorkspaceError

#: What is wrong, by error number, with the texts that libraries in C and Rust put into their messages.
_PROBLEMS = {
    errno.ENOSPC: "the disk is too full for this file",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than the file system or the limit of this process (`ulimit -f`) allows",
}
_TEXTS = (
    (re.compile(r"no space left on device|\(os error 28\)|database or disk is full|errno 28\b", re.IGNORECASE), errno.ENOSPC),
    (re.compile(r"disk quota exceeded|\(os error 122\)|errno 122\b", re.IGNORECASE), errno.EDQUOT),
    (re.compile(r"\(os error 27\)|errno 27\b", re.IGNORECASE), errno.EFBIG),
    (re.compile(r"\b\d+ requested and \d+ written\b"), errno.ENOSPC),  # numpy's tofile
    (re.compile(r"PytorchStreamWriter failed writing file|inline_container.*unexpected pos"), errno.ENOSPC),  # torch.save
)
_LITTLE = 64 * 2**10  # bytes that are free, below which an input/output error of sqlite is put down to them
HINT = (
    "free some space (`textbookgen run prune` lists what no finished run uses), then run the same command again: "
    "completed steps, completed parts and replies are kept"
)


class DiskFull(WorkspaceError):
    """There is no space for what is being written; everything that was complete before is kept."""


def disk_full(error: BaseException, place: Path | str = "") -> DiskFull | None:
    """Return the error to raise instead if a write failed for lack of space; None if it failed for another reason.

    Args:
        error: what was raised, by whichever library.
        place: the file that was written; by default the one that the error names.
    """
    if isinstance(error, DiskFull):
        return error
    if isinstance(error, TextbookgenError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        number = error.errno if error.errno in _PROBLEMS else None
        place = place or _text(error.filename)
    elif isinstance(error, sqlite3.Error):
        number = errno.ENOSPC if _is_full(error, place) else None
    else:
        number = _number(str(error))
    return None if number is None else _error(number, place)


def disk_full_in(text: str, place: Path | str) -> DiskFull | None:
    """Return the error to raise if a text, such as the end of a trainer's log, says that a disk is full."""
    number = _number(text)
    return None if number is None else _error(number, place)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Name `place` in the error if the block fails because there is no space.

    Raises:
        DiskFull: there is none. Other errors of the block pass.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        full = disk_full(error, place)
        if full is None:
            raise
        raise full from error


def _is_full(error: sqlite3.Error, place: Path | str) -> bool:
    """Return whether sqlite failed for lack of space. Without space for its index, it reports an input/output error."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    free = _free_bytes(place) if code == sqlite3.SQLITE_IOERR else None
    return code == sqlite3.SQLITE_FULL or (free is not None and free < _LITTLE)


def _number(text: str) -> int | None:
    return next((number for pattern, number in _TEXTS if pattern.search(text)), None)


def _error(number: int, place: Path | str) -> DiskFull:
    return DiskFull(f"{_PROBLEMS[number]}{_free(place)}", place=str(place), hint=HINT)


def _free(place: Path | str) -> str:
    """Return how much is free on the device of a file, for the message; empty if it cannot be found out."""
    free = _free_bytes(place)
    return "" if free is None else f"; {free / 2**20:,.1f} MiB are free"


def _free_bytes(place: Path | str) -> int | None:
    try:
        folder = next(folder for folder in Path(place or ".").absolute().parents if folder.is_dir())
        return shutil.disk_usage(folder).free
    except (OSError, StopIteration):
        return None


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")
