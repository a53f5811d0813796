"""The checkpoints that an interrupted run resumes from: which of them are complete, and removing them.

A checkpoint is a folder for each saved step. It counts once its marker file exists, and only while every file has the size
and digest that the marker lists. The marker is written last and removed first, so an interrupted write or removal never
leaves a folder that looks complete.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textbookgen.api.files import write_json
from textbookgen.api.hashing import file_digest

MARKER = "complete.json"


@dataclass(frozen=True)
class SavedCheckpoint:
    """A complete checkpoint; `progress` is what the run recorded with it."""

    step: int
    folder: Path
    progress: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run, in folders called `PREFIX` and the step, zero-padded to `digits`."""

    def __init__(self, folder: Path, prefix: str = "step-", digits: int = 0) -> None:
        self.folder, self._prefix, self._digits = folder, prefix, digits

    def path(self, step: int) -> Path:
        """Return the folder for the checkpoint after this step."""
        return self.folder / f"{self._prefix}{step:0{self._digits}d}"

    def mark_complete(self, step: int, progress: Mapping[str, Any]) -> None:
        """Record that the checkpoint of this step is complete; `progress` (JSON) comes back from `newest`."""
        folder = self.path(step)
        write_json(folder / MARKER, {"progress": dict(progress), "files": _file_facts(folder)}, sync=True)

    def newest(self) -> SavedCheckpoint | None:
        """Return the newest complete checkpoint; those that were changed since are skipped with a message on stderr."""
        for step, folder in self._newest_first():
            if not (folder / MARKER).is_file():
                continue
            marker = _read_marker(folder)
            if problem := _damage(folder, marker):
                print(f"skipping checkpoint {folder}: {problem}", file=sys.stderr)
                continue
            return SavedCheckpoint(step, folder, marker["progress"])
        return None

    def prune(self, keep: int) -> None:
        """Remove incomplete checkpoints, and all but the newest `keep` complete ones."""
        complete = [folder for _, folder in self._newest_first() if (folder / MARKER).is_file()]
        for _, folder in self._newest_first():
            if folder not in complete[:keep]:
                _remove(folder)

    def remove_newer_than(self, step: int) -> None:
        """Remove the checkpoints after this step: a run that resumes from it writes them again."""
        for other, folder in self._newest_first():
            if other > step:
                _remove(folder)

    def drop(self, step: int) -> None:
        """Remove the checkpoint of this step, if there is one."""
        _remove(self.path(step))

    def remove_all(self) -> None:
        """Remove every checkpoint, once the run is complete."""
        for _, folder in self._newest_first():
            _remove(folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[tuple[int, Path]]:
        folders = ((path.name.removeprefix(self._prefix), path) for path in self.folder.glob(f"{self._prefix}*"))
        return sorted(((int(step), path) for step, path in folders if step.isdigit()), reverse=True)


def _remove(folder: Path) -> None:
    (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _read_marker(folder: Path) -> dict[str, Any]:
    """Return the marker's content; empty if it cannot be read."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}


def _damage(folder: Path, marker: Mapping[str, Any]) -> str:
    """Return what is wrong with a checkpoint that was marked complete; empty if nothing is."""
    if not {"progress", "files"} <= marker.keys():
        return "its marker cannot be read"
    expected, actual = marker["files"], _file_facts(folder)
    changed = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    return f"{', '.join(changed[:3])} changed since" if changed else ""


def _file_facts(folder: Path) -> dict[str, list[Any]]:
    """Return size and digest of each file except the marker."""
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, file_digest(path, "blake2b")]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }
