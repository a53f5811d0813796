"""How tables and values are printed: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

#: Columns of a table that goes to a file or a pipe.
_PIPED = 240


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Prints a table to stdout, as wide as it needs where stdout is no terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    shown = Table(*columns, title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for row in rows:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PIPED)
    console.print(shown)


def brought(kind: str, name: str, *, json_schema: bool) -> None:
    """Prints what a stage, teacher or sampler says of itself, and its options; or their JSON schema."""
    from textbookgen.recipe.describe import described, options_of
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    result = plugins.find(kind, name)
    if json_schema:
        as_json(result.model_json_schema())
        return
    click.echo(f"{name}  ({plugins.release(name)})\n\n{described(result)}\n")
    table(("option", "type", "default", "what it is"), options_of(result))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """Prints one JSON object a line."""
    for row in rows:
        click.echo(json.dumps(row, default=str, ensure_ascii=False))


def as_json(value: object) -> None:
    """Prints a value as indented JSON."""
    click.echo(json.dumps(value, indent=1, default=str, ensure_ascii=False))
