"""Built-in sources: Python code on this machine, and tables and texts from files or addresses."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Stage


@hookimpl
def stages() -> list[type[Stage]]:
    """The built-in sources."""
    from textbookgen.builtin.sources.files import Jsonl, Parquet, PythonCode, Text

    return [PythonCode, Parquet, Jsonl, Text]
