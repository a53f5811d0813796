"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def work(command: Command) -> Command:
    """Add `--work DIR`: the workspace."""
    return click.option(
        "--work",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("work"),
        show_default=True,
        envvar="TEXTBOOKGEN_WORK",
        help="Folder of steps, replies and runs.",
    )(command)


def run_name(command: Command) -> Command:
    """Add `--run NAME`: the run to look at."""
    return click.option("--run", "run_name", default="", metavar="RUN", help="The run; the latest by default.")(command)


def as_json(command: Command) -> Command:
    """Add `--json`: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def overrides(command: Command) -> Command:
    """Add `--set KIND.LABEL.KEY=VALUE`, which may be repeated."""
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override an option of the recipe, for example stage.small.tokens=1000. Can be repeated.",
    )(command)


def limit(command: Command) -> Command:
    """Add `--limit N`: a small run."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        metavar="N",
        help="Limit each source or generator to N documents, and stop before packing and training.",
    )(command)
