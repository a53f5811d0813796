"""`textbookgen sampler`: list, show."""

from __future__ import annotations

import click

from textbookgen.cli import options, show


@click.group("sampler")
def group() -> None:
    """What samplers there are, and their options."""


@group.command("list")
def list_samplers() -> None:
    """List every sampler a recipe may use."""
    from textbookgen.recipe.describe import first_sentence
    from textbookgen.recipe.plugin_manager import Plugins

    show.table(("sampler", "what it draws"), ((name, first_sentence(kind)) for name, kind in Plugins().samplers.items()))


@group.command("show")
@click.argument("name")
@options.as_json
def show_sampler(name: str, as_json: bool) -> None:
    """Print a sampler's options: types, defaults and descriptions, from the class itself."""
    show.brought("sampler", name, json_schema=as_json)
