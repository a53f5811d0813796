"""Observers: functions that receive the events of a run, and may fail without failing the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from textbookgen.api.events import Event, Progress

log = logging.getLogger(__name__)

#: A function that is called with each event as the keyword argument `event`.
Observer = Callable[..., None]

_PROGRESS_INTERVAL = 0.1  # seconds between two Progress events of a step


class Observers:
    """Passes each event to every observer, in order.

    An observer that raises is logged once and removed, since a failing observer must not fail the run. Progress is passed on
    at most ten times a second.
    """

    def __init__(self, observers: Iterable[tuple[str, Observer]]) -> None:
        self._observers = list(observers)
        self._last_progress: tuple[str, float] = ("", 0.0)

    def notify(self, event: Event) -> None:
        """Pass an event to every observer."""
        if isinstance(event, Progress) and self._is_too_soon(event):
            return
        for name, observer in list(self._observers):
            try:
                observer(event=event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit, and panics of libraries in Rust
                log.warning("observer %s failed and will not be notified again: %r", name, error)
                self._observers.remove((name, observer))

    def _is_too_soon(self, event: Progress) -> bool:
        label, at = self._last_progress
        now = time.monotonic()
        if event.label == label and now - at < _PROGRESS_INTERVAL and event.done != event.total:
            return True
        self._last_progress = event.label, now
        return False
