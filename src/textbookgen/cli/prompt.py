"""`textbookgen prompt`: list, show, render."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import show


@click.group("prompt")
def group() -> None:
    """Show and render prompt templates."""


@group.command("list")
def list_prompts() -> None:
    """List every template, with the variables it asks for."""
    prompts = _prompts()
    show.table(("prompt", "variables"), ((name, ", ".join(sorted(prompts.variables(name)))) for name in prompts.names()))


@group.command("show")
@click.argument("name")
def show_prompt(name: str) -> None:
    """Print a template as it is written."""
    click.echo(_prompts().text(name))


@group.command("render")
@click.argument("name")
@click.argument("variables", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--recipe", type=click.Path(path_type=Path), help="Draw the variables from this recipe's sampler instead.")
@click.option("--sampler", default="", metavar="LABEL", help="With --recipe: the sampler to draw from.")
@click.option("-n", "times", default=1, show_default=True, help="With --recipe: how many prompts.")
def render(name: str, variables: tuple[str, ...], recipe: Path | None, sampler: str, times: int) -> None:
    """Print the prompt that a template makes of variables given here, or drawn by a recipe's sampler."""
    from textbookgen.recipe.parser import parse_override

    given = dict(map(parse_override, variables))
    if recipe is None:
        click.echo(_prompts().render(name, given))
        return
    from random import Random

    from textbookgen.api.sampler import AcceptedStats
    from textbookgen.recipe.parser import read_recipe
    from textbookgen.recipe.plugin_manager import Plugins

    entry = next((item for item in read_recipe(recipe).of("sampler") if item.label == sampler), None)
    if entry is None:
        raise click.BadParameter(f"the recipe has no [sampler.{sampler}]", param_hint="--sampler")
    drawing = Plugins().find("sampler", entry.use)(**entry.options)
    for n in range(times):
        click.echo(
            f"── {n}\n{_prompts(recipe).render(name, drawing.draw(n, Random(f'render/{n}'), AcceptedStats()) | given)}\n"
        )


def _prompts(recipe: Path | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.recipe.prompts import Prompts

    beside = [recipe.parent / "prompts", recipe.parent] if recipe else [Path("prompts")]
    return Prompts([*beside, *Plugins().prompt_folders()])
