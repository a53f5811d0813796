"""Built-in sources: installed Python code and documentation, tables, and text files."""

from __future__ import annotations

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Stage


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the built-in sources."""
    from textbookgen.builtin.sources.documentation import Documentation
    from textbookgen.builtin.sources.python_code import PythonCode
    from textbookgen.builtin.sources.tables import Jsonl, Parquet
    from textbookgen.builtin.sources.text import Text

    return [PythonCode, Documentation, Parquet, Jsonl, Text]
