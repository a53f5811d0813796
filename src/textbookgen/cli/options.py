"""Options and arguments that several nouns share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def work(command: Command) -> Command:
    """`--work DIR`: the workspace."""
    return click.option(
        "--work",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("work"),
        show_default=True,
        envvar="TEXTBOOKGEN_WORK",
        help="The folder of steps, replies and runs.",
    )(command)


def as_json(command: Command) -> Command:
    """`--json`: for programs rather than people."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def overrides(command: Command) -> Command:
    """`--set KIND.LABEL.KEY=VALUE`, any number of times."""
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Another value for an option, such as stage.small.tokens=1000.",
    )(command)


def limit(command: Command) -> Command:
    """`--limit N`: a taste."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        help="At most so many documents from each spring; stops before packing and training.",
    )(command)
