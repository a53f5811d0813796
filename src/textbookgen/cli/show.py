"""Output: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from textbookgen.api.terminal import escape_controls

#: Control characters that `json.dumps` leaves as they are: C1, and those that change the direction of text.
_JSON_CONTROLS = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PIPE_WIDTH = 240  # columns of a table that is written to a file or a pipe


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text with its control characters escaped; it may be of a document, or of a server."""
    click.echo(escape_controls(text), err=err, nl=nl)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table to standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(*columns, title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for row in rows:
        shown.add_row(*("" if cell is None else escape_controls(str(cell)) for cell in row))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PIPE_WIDTH)
    console.print(shown)


def options(kind: str, name: str, *, json_schema: bool) -> None:
    """Print the description and the options of a stage, teacher or sampler, or the JSON schema of its options."""
    from textbookgen.recipe.describe import OPTION_COLUMNS, description, option_rows
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    option_class = plugins.find(kind, name)
    if json_schema:
        as_json(option_class.model_json_schema())
        return
    echo(f"{name}  ({plugins.release(name)})\n\n{description(option_class)}\n")
    table(OPTION_COLUMNS, option_rows(option_class))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print one JSON object per line."""
    for row in rows:
        echo(_json(row))


def as_json(value: object) -> None:
    """Print a value as indented JSON."""
    echo(_json(value, indent=1))


def _json(value: object, indent: int | None = None) -> str:
    """Return JSON in which the control characters that JSON allows are escaped, too."""
    text = json.dumps(value, indent=indent, default=str, ensure_ascii=False)
    return _JSON_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
