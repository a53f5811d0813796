"""What a page prints, recorded by statement and by the line of the `print` that wrote it."""

from __future__ import annotations

import builtins
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PAGE_FILE = "page.md"
_MAX_RECORDED = 200_000  # characters; a page that prints more is stopped by its own limit


@dataclass(eq=False)
class OutputLog(io.TextIOBase):
    """A stand-in for stdout that also keeps what is written.

    Attributes:
        target: the real stdout.
        statement: the number of the top-level statement that runs.
        line: the line of the print that writes; 0 while none does.
        entries: statement, line and text of each call of `print`, or of each write without one.
    """

    target: Any
    statement: int = 0
    line: int = 0
    entries: list[tuple[int, int, str]] = field(default_factory=list)
    size: int = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Write to the real stdout and record the text."""
        self.target.write(text)
        if not self.line:
            self.record(text)
        return len(text)

    def flush(self) -> None:
        """Flush the real stdout."""
        self.target.flush()

    def fileno(self) -> int:
        """Return the descriptor of the real stdout."""
        return int(self.target.fileno())

    def record(self, text: str) -> None:
        """Keep a text for the current statement and line."""
        self.size += len(text)
        if self.size <= _MAX_RECORDED:
            self.entries.append((self.statement, self.line, text))

    def recording_print(self) -> Callable[..., None]:
        """Return a `print` that records the line it is called on."""

        def recording_print(*values: Any, file: Any = None, **options: Any) -> None:
            if file is not None and file is not self:
                builtins.print(*values, file=file, **options)
                return
            output = io.StringIO()
            builtins.print(*values, file=output, **{**options, "flush": False})
            if sys.stdout is not self:  # the page redirects stdout
                sys.stdout.write(output.getvalue())
                return
            frame = sys._getframe(1)
            self.line = frame.f_lineno if frame.f_code.co_filename == PAGE_FILE else 0
            try:
                if self.line:
                    self.record(output.getvalue())
                self.write(output.getvalue())
            finally:
                self.line = 0

        return recording_print

    def of_statement(self, number: int) -> str:
        """Return what a top-level statement printed."""
        return "".join(text for statement, _, text in self.entries if statement == number)

    def of_lines(self, first: int, last: int) -> list[str]:
        """Return what each call of `print` on these lines printed."""
        return [text for _, line, text in self.entries if first <= line <= last]
