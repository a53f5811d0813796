"""`textbookgen sampler`: list, show."""

from __future__ import annotations

import click

from textbookgen.cli import options, show


@click.group("sampler")
def group() -> None:
    """List samplers and their options."""


@group.command("list")
def list_samplers() -> None:
    """List all samplers."""
    from textbookgen.recipe.describe import first_sentence
    from textbookgen.recipe.plugin_manager import Plugins

    show.table(("sampler", "purpose"), ((name, first_sentence(kind)) for name, kind in Plugins().samplers.items()))


@group.command("show")
@click.argument("name")
@options.as_json
def show_sampler(name: str, as_json: bool) -> None:
    """Print the options of a sampler."""
    show.options("sampler", name, json_schema=as_json)
