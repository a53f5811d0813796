"""The journal: each event of a run as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from textbookgen.api.events import Event, Progress


class Journal:
    """Writes every event but progress to a file, a line each."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def observe(self, event: Event) -> None:
        """Appends the event."""
        if isinstance(event, Progress):
            return
        line = {"at": datetime.now(UTC).isoformat(), "event": type(event).__name__, **asdict(event)}
        with self._file.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line, default=str) + "\n")
