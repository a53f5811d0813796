"""The event log of a run: one line of JSON per event."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from textbookgen.api.events import Event, Progress


class EventLog:
    """An observer that appends every event except progress to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def observe(self, event: Event) -> None:
        """Append the event."""
        if isinstance(event, Progress):
            return
        line = {"at": datetime.now(UTC).isoformat(), "event": type(event).__name__, **asdict(event)}
        with self._file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, default=str) + "\n")
