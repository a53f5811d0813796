"""`textbookgen stage`: list, show."""

from __future__ import annotations

import click

from textbookgen.cli import options, show


@click.group("stage")
def group() -> None:
    """List stages and their options."""


@group.command("list")
def list_stages() -> None:
    """List all stages with their inputs and outputs."""
    from textbookgen.api.stage import family
    from textbookgen.recipe.describe import first_sentence, input_types
    from textbookgen.recipe.plugin_manager import Plugins

    rows = []
    for name, stage in Plugins().stages.items():
        output = stage.output.name if stage.output else "same as input"
        rows.append((name, family(stage).__name__, input_types(stage), output, first_sentence(stage)))
    show.table(("stage", "family", "input", "output", "purpose"), rows)


@group.command("show")
@click.argument("name")
@options.as_json
def show_stage(name: str, as_json: bool) -> None:
    """Print the options of a stage."""
    show.options("stage", name, json_schema=as_json)
