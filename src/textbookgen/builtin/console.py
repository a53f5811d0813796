"""The console: one line a step on stderr, moving on a terminal, plain elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textbookgen.api.events import Event, Progress, RunFinished, RunStarted, StageFinished, StageStarted, StepRecord

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_PLAIN_EVERY = 5.0  # seconds between two plain lines about one step


class Console:
    """Tells people how a run gets on."""

    def __init__(self) -> None:
        from rich.console import Console as RichConsole

        self._console: RichConsole = RichConsole(stderr=True, highlight=False)
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._told = 0.0
        self._width = 0

    def observe(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case RunStarted():
                self._width = max(map(len, event.steps), default=0)
                count = f"{len(event.steps)} step{'s' * (len(event.steps) != 1)}"
                self._console.print(f"[bold]{event.recipe}[/bold]  {count}  [dim]{event.folder}[/dim]", soft_wrap=True)
            case StageStarted():
                self._start(event)
            case Progress():
                self._move(event)
            case StageFinished():
                self._finish(event)
            case RunFinished():
                self._stop()
                outcome = "stopped" if event.error else "finished"
                self._console.print(
                    f"{outcome} in {event.seconds:,.1f} s; the report: {event.folder / 'report.md'}", soft_wrap=True
                )

    def _start(self, event: StageStarted) -> None:
        self._told = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"  {event.label:<{self._width}}  {event.use} …", soft_wrap=True, markup=False)
            return
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = ("{task.description}", "{task.fields[count]}", "[dim]{task.fields[note]}[/dim]")
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn(columns[0]),
            BarColumn(bar_width=24),
            TextColumn(columns[1]),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn(columns[2]),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(f"{event.label:<{self._width}}", total=None, count="", note=event.use)

    def _move(self, event: Progress) -> None:
        count = f"{event.done:,.0f}" + (f" of {event.total:,.0f}" if event.total else "") + f" {event.unit}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event.done, total=event.total, count=count, note=event.note)
        elif time.monotonic() - self._told > _PLAIN_EVERY:
            self._told = time.monotonic()
            note = f"  {event.note}" if event.note else ""
            self._console.print(f"  {event.label:<{self._width}}    {count}{note}", soft_wrap=True, markup=False)

    def _finish(self, event: StageFinished) -> None:
        self._stop()
        told = "kept from an earlier run" if event.cached else f"{event.record.seconds:6.1f} s"
        self._console.print(
            f"  {event.label:<{self._width}}  {told:>10}  {outcome(event.record)}", soft_wrap=True, markup=False
        )

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None


def outcome(record: StepRecord) -> str:
    """What a step came to, in a line: `18,820 of 20,000 rows (1,180 near copy)`."""
    parts = [f"{record.rows_out:,} rows"] if record.rows_out else []
    if record.dropped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in list(record.dropped.items())[:3])
        parts = [f"{record.rows_out:,} of {record.rows_out + sum(record.dropped.values()):,} rows", f"dropped {reasons}"]
    parts += [f"{record.requests:,} requests"] if record.requests else []
    parts += [f"{record.tokens:,} tokens"] if record.tokens else []
    parts += [f"${record.cost_usd:,.2f}"] if record.cost_usd else []
    parts += [f"{record.failures:,} failed"] if record.failures else []
    return "; ".join([*parts, *record.notes])
