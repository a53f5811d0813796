"""`textbookgen prompt`: list, show, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbookgen.cli import show

if TYPE_CHECKING:
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.recipe.prompts import Prompts


@click.group("prompt")
def group() -> None:
    """List, show and render prompt templates."""


@group.command("list")
def list_prompts() -> None:
    """List all prompt templates with their variables."""
    from textbookgen.recipe.plugin_manager import Plugins

    prompts = _prompts(Plugins())
    show.table(("prompt", "variables"), ((name, ", ".join(sorted(prompts.variables(name)))) for name in prompts.names()))


@group.command("show")
@click.argument("name")
def show_prompt(name: str) -> None:
    """Print the source of a prompt template."""
    from textbookgen.recipe.plugin_manager import Plugins

    show.echo(_prompts(Plugins()).text(name))


@group.command("render")
@click.argument("name")
@click.argument("variables", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--recipe", type=click.Path(path_type=Path), help="Draw the variables from a sampler of this recipe.")
@click.option("--sampler", default="", metavar="LABEL", help="With --recipe: label of the sampler.")
@click.option("-n", "count", default=1, show_default=True, help="With --recipe: number of prompts.")
def render(name: str, variables: tuple[str, ...], recipe: Path | None, sampler: str, count: int) -> None:
    """Render a prompt template.

    Variables come from the command line, or are drawn by a sampler of a recipe.
    """
    from random import Random

    from textbookgen.api.sampler import AcceptedStats, Sampler
    from textbookgen.recipe.options import build_table
    from textbookgen.recipe.overrides import parse_override
    from textbookgen.recipe.parser import read_recipe
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    values = dict(map(parse_override, variables))
    prompts = _prompts(plugins, recipe)
    if recipe is None:
        show.echo(prompts.render(name, values))
        return
    source = build_table(read_recipe(recipe), Sampler, sampler, plugins)
    for n in range(count):
        draw = source.draw(n, Random(f"render/{n}"), AcceptedStats())
        show.echo(f"── {n}\n{prompts.render(name, draw | values)}\n")


def _prompts(plugins: Plugins, recipe: Path | None = None) -> Prompts:
    """Return the templates of a recipe, or those in a folder `prompts` here, and those of plugins."""
    from textbookgen.recipe.prompts import Prompts

    folders = [recipe.parent / "prompts", recipe.parent] if recipe else [Path("prompts")]
    return Prompts([*folders, *plugins.prompt_folders()])
