"""The console: one line per step on standard error, with a progress bar on a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textbookgen.api.events import Event, Progress, RunFinished, RunStarted, StageFinished, StageStarted, StepRecord
from textbookgen.api.terminal import escape_controls

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as ProgressBar
    from rich.progress import TaskID

_PLAIN_INTERVAL = 5.0  # seconds between two plain progress lines of one step


class Console:
    """An observer that prints the progress of a run."""

    def __init__(self) -> None:
        from rich.console import Console as RichConsole

        self._console: RichConsole = RichConsole(stderr=True, highlight=False)
        self._bar: ProgressBar | None = None
        self._task: TaskID | None = None
        self._printed_at = 0.0
        self._width = 0

    def observe(self, event: Event) -> None:
        """Print one event."""
        match event:
            case RunStarted():
                self._width = max(map(len, event.steps), default=0)
                self._print(f"{event.recipe}: {plural(len(event.steps), 'step')}, run folder {event.folder}", style="bold")
            case StageStarted():
                self._start(event)
            case Progress():
                self._update(event)
            case StageFinished():
                self._finish(event)
            case RunFinished():
                self._stop()
                outcome = "failed after" if event.error else "finished in"
                self._print(f"{outcome} {event.seconds:,.1f} s; report: {event.folder / 'report.md'}")

    def _print(self, line: str, style: str | None = None) -> None:
        self._console.print(escape_controls(line), style=style, soft_wrap=True, markup=False)

    def _start(self, event: StageStarted) -> None:
        self._printed_at = time.monotonic()
        if not self._console.is_terminal:
            self._print(f"  {event.label:<{self._width}}  {event.use} …")
            return
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as ProgressBar

        self._bar = ProgressBar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(f"{event.label:<{self._width}}", total=None, count="", note=event.use)

    def _update(self, event: Progress) -> None:
        count = f"{event.done:,.0f}" + (f" of {event.total:,.0f}" if event.total else "") + f" {event.unit}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event.done, total=event.total, count=count, note=escape_controls(event.note))
        elif time.monotonic() - self._printed_at > _PLAIN_INTERVAL:
            self._printed_at = time.monotonic()
            note = f"  {event.note}" if event.note else ""
            self._print(f"  {event.label:<{self._width}}    {count}{note}")

    def _finish(self, event: StageFinished) -> None:
        self._stop()
        duration = "cached" if event.cached else f"{event.record.seconds:.1f} s"
        self._print(f"  {event.label:<{self._width}}  {duration:>9}  {outcome(event.record)}")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def plural(count: int, noun: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def outcome(record: StepRecord) -> str:
    """Return the figures of a step in one line: `18,820 of 20,000 rows; dropped: 1,180 near copy`."""
    parts = [plural(record.rows_out, "row")] if record.rows_out else []
    if record.dropped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in list(record.dropped.items())[:3])
        total = record.rows_out + sum(record.dropped.values())
        parts = [f"{record.rows_out:,} of {plural(total, 'row')}", f"dropped: {reasons}"]
    parts += [plural(record.requests, "request")] if record.requests else []
    parts += [f"{record.tokens:,} tokens"] if record.tokens else []
    parts += [f"${record.cost_usd:,.2f}"] if record.cost_usd else []
    parts += [f"{record.failures:,} failed"] if record.failures else []
    return "; ".join([*parts, *record.notes])
