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
    from textbookgen.api.stage import family
    from textbookgen.recipe.describe import first_sentence, types
    from textbookgen.recipe.plugin_manager import Plugins

    rows = []
    for name, stage in Plugins().stages.items():
        output = stage.output.name if stage.output else "the same"
        rows.append((name, family(stage).__name__, types(stage), output, first_sentence(stage)))
    show.table(("stage", "family", "input", "output", "purpose"), rows)


@group.command("show")
@click.argument("name")
@options.as_json
def show_stage(name: str, as_json: bool) -> None:
    """Print a stage's options: types, defaults and descriptions, from the class itself."""
    show.brought("stage", name, json_schema=as_json)
