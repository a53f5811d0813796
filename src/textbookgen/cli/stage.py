"""`textbookgen stage`: list, show."""

from __future__ import annotations

import click

from textbookgen.cli import options, show


@click.group("stage")
def group() -> None:
    """What stages there are, and their options."""


@group.command("list")
def list_stages() -> None:
    """List every stage: what it takes, what it gives, what it is for."""
    from textbookgen.catalogue import first_sentence, takes
    from textbookgen.plugins import Plugins
    from textbookgen.stage import family

    rows = []
    for name, stage in Plugins().stages.items():
        gives = stage.gives.name if stage.gives else "the same"
        rows.append((name, family(stage).__name__, takes(stage), gives, first_sentence(stage)))
    show.table(("stage", "family", "takes", "gives", "what it is for"), rows)


@group.command("show")
@click.argument("name")
@options.as_json
def show_stage(name: str, as_json: bool) -> None:
    """Print a stage's options: types, defaults and descriptions, from the class itself."""
    show.brought("stage", name, json_schema=as_json)
