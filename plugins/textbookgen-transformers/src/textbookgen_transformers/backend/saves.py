"""Where a run can be taken up again: transformers' own checkpoints, which count once a marker says they are whole."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

MARKER = "whole.json"


class Saves:
    """The saves of one run; a folder that a kill left unfinished, or whose files changed since, is passed over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mark(self, step: int, facts: dict[str, Any]) -> None:
        """Says that the save after this step is whole; `facts` comes back from `last`."""
        folder = self.folder / f"checkpoint-{step}"
        beside = folder / f"{MARKER}.tmp"
        beside.write_text(json.dumps({"facts": facts, "files": _sizes(folder)}), encoding="utf-8")
        beside.replace(folder / MARKER)

    def last(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest whole save and its facts."""
        for folder in self._newest_first():
            told = _marker(folder)
            if told is not None and told["files"] == _sizes(folder):
                facts: dict[str, Any] = told["facts"]
                return folder, facts
            if told is not None:
                print(f"{folder} is passed over: its files changed since", file=sys.stderr)
        return None

    def clear(self, keep: Path | None) -> None:
        """Removes what is not whole and newer than `keep`: transformers would count it among the newest."""
        for folder in self._newest_first():
            if folder == keep:
                return
            (folder / MARKER).unlink(missing_ok=True)  # first, so that no torn save ever counts
            shutil.rmtree(folder)

    def remove(self) -> None:
        """Removes every save, once the run is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("checkpoint-*") if path.name.split("-")[1].isdigit()]
        return sorted(found, key=lambda path: -int(path.name.split("-")[1]))


def _marker(folder: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return told if {"facts", "files"} <= told.keys() else None
    except (OSError, ValueError):
        return None


def _sizes(folder: Path) -> dict[str, int]:
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith(MARKER))
    return {path.name: path.stat().st_size for path in sorted(found)}
