"""Files that are whole or absent: every file of a run is written beside its place and renamed into it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textbookgen.api.full_disks import writing

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def atomic_path(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` when the block ends without an error.

    Args:
        path: the file to create or replace; its folder is created if missing.
        sync: flush the content to the device before renaming, for files that must survive a power loss.

    Raises:
        DiskFull: there is no space for the file; the one that was there before is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if sync:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def remove_temporary_files(folder: Path) -> None:
    """Remove what `atomic_path` left below a folder in processes that were killed; no process may be writing there."""
    for file in folder.rglob(".*.tmp"):
        file.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, sync: bool = False) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, sync: bool = False) -> None:
    """Write a value as indented JSON, atomically, with a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", sync=sync)


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a parquet file atomically; equal frames give equal bytes."""
    with atomic_path(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", statistics=False)
