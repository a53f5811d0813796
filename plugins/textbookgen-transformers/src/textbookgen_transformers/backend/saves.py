"""Where a run can be taken up again: transformers' own checkpoints, which count once a marker says they are whole.

They count only while every file has the size and digest that the marker tells.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

MARKER = "whole.json"


class CheckpointStore:
    """The saves of one run; a folder that a kill left unfinished, or whose files changed since, is passed over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mark(self, step: int, facts: dict[str, Any]) -> None:
        """Says that the save after this step is whole; `facts` comes back from `last`."""
        folder = self._of(step)
        beside = folder / f"{MARKER}.tmp"
        beside.write_text(json.dumps({"facts": facts, "files": _files(folder)}), encoding="utf-8")
        beside.replace(folder / MARKER)

    def last(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole save and its facts; those that were marked whole and are not any more are told of."""
        for folder in self._newest_first():
            if not (folder / MARKER).is_file():
                continue
            told = _marker(folder)
            if problem := _damage(folder, told):
                print(f"{folder} is passed over: {problem}", file=sys.stderr)
                continue
            facts: dict[str, Any] = told["facts"]
            return folder, facts
        return None

    def clear(self, keep: Path | None) -> None:
        """Removes what is not whole and newer than `keep`: transformers would count it among the newest."""
        for folder in self._newest_first():
            if folder == keep:
                return
            _remove(folder)

    def drop(self, step: int) -> None:
        """Removes the save of this step, if there is one: its weights turned out to be no good."""
        _remove(self._of(step))

    def remove(self) -> None:
        """Removes every save, once the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def _newest_first(self) -> list[Path]:
        result = [path for path in self.folder.glob("checkpoint-*") if path.name.split("-")[1].isdigit()]
        return sorted(result, key=lambda path: -int(path.name.split("-")[1]))


def _remove(folder: Path) -> None:
    (folder / MARKER).unlink(missing_ok=True)  # first, so that no torn save ever counts
    shutil.rmtree(folder, ignore_errors=True)


def _marker(folder: Path) -> dict[str, Any]:
    """What the marker tells; nothing if it cannot be read."""
    try:
        told = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _damage(folder: Path, told: dict[str, Any]) -> str:
    """What is wrong with a save that was marked whole, or nothing."""
    if not {"facts", "files"} <= told.keys():
        return "its marker cannot be read"
    expected, result = told["files"], _files(folder)
    odd = sorted(name for name in expected.keys() | result.keys() if expected.get(name) != result.get(name))
    return f"{', '.join(odd[:3])} changed since" if odd else ""


def _files(folder: Path) -> dict[str, list[Any]]:
    """Size and digest of each file but the marker."""
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, _digest(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(MARKER)
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
