"""`textbookgen recipe`: run, check, show, list, new."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbookgen.cli import options, show

if TYPE_CHECKING:
    from textbookgen.recipe.planner import Plan
    from textbookgen.recipe.plugin_manager import Plugins

#: Exit code of a run that finished, though some documents failed.
SOME_FAILED = 3


@click.group("recipe")
def group() -> None:
    """Run, check, list and begin recipes."""


@group.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--until", metavar="LABEL", help="Stop after this stage.")
@click.option("--again", metavar="LABEL", multiple=True, help="Work this stage anew; replies still come from the ledger.")
@options.limit
@options.overrides
@click.option("--offline", is_flag=True, help="Ask no teacher: replies come from the ledger alone.")
@click.option(
    "--executor",
    default="processes",
    show_default=True,
    help="Where parts are worked: serial, processes, processes:N, or a plugin's.",
)
@click.option("--quiet", is_flag=True, help="No progress.")
@options.work
def run(
    file: Path,
    until: str | None,
    again: tuple[str, ...],
    limit: int | None,
    assignments: tuple[str, ...],
    offline: bool,
    executor: str,
    quiet: bool,
    work: Path,
) -> None:
    """Run a recipe: what is done is kept, what is not is worked.

    Exit code 0: all went well; 3: it finished, but some documents failed (the report says which); 1: it stopped.
    """
    from textbookgen.builtin.console import Console
    from textbookgen.run.engine import run_plan
    from textbookgen.storage.workspace import Workspace

    plan, plugins = _planned(file, assignments, limit)
    plan = plan.until(until) if until else plan.before_packing() if limit else plan
    listeners = [] if quiet else [("console", Console().observe)]
    done = run_plan(
        plan, Workspace(work), plugins, executor=executor, listeners=listeners, again=frozenset(again), offline=offline
    )
    summary = done.summary() or {}
    click.echo(str(done.report))
    if any(step["failures"] for step in summary.get("steps", ())):
        sys.exit(SOME_FAILED)


@group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@options.overrides
@options.as_json
@options.work
def check(file: Path, assignments: tuple[str, ...], as_json: bool, work: Path) -> None:
    """Read a recipe, fit its pipes, and print what it would take; nothing is spent.

    After `recipe run FILE --limit 20` it knows from the replies how long replies are.
    """
    from textbookgen.provenance.cost_estimate import estimate, needs_text
    from textbookgen.storage.workspace import Workspace

    plan, plugins = _planned(file, assignments, None)
    forecast = estimate(plan, Workspace(work))
    if as_json:
        show.as_json(forecast.as_dict())
    else:
        count = f"{len(plan.steps)} step{'s' * (len(plan.steps) != 1)}"
        show.table(forecast.columns, forecast.rows(), title=f"{plan.recipe.name}: {count}")
        click.echo(forecast.sentence())
    if plan.missing_requirements:
        click.echo(needs_text(plan.missing_requirements), err=True)
    for warning in forecast.warnings(plugins):
        click.echo(warning, err=True)


@group.command("show")
@click.argument("name")
def show_recipe(name: str) -> None:
    """Print a shipped recipe."""
    from textbookgen.recipe.plugin_manager import Plugins

    click.echo(_shipped(Plugins(), name), nl=False)


@group.command("list")
def list_recipes() -> None:
    """List the recipes that are shipped, and what each is."""
    from textbookgen.recipe.plugin_manager import Plugins

    rows = []
    for folder in Plugins().recipe_folders():
        for entry in sorted(folder.iterdir(), key=lambda item: item.name):
            if entry.name.endswith(".toml"):
                rows.append((entry.name.removesuffix(".toml"), _first_sentence(entry.read_text(encoding="utf-8"))))
    show.table(("recipe", "what it is"), rows)


def _first_sentence(text: str) -> str:
    """What a recipe says of itself above its first table, up to the first full stop that ends a sentence."""
    lines = [line.lstrip("# ") for line in itertools.takewhile(lambda line: line.startswith("# "), text.splitlines())]
    return re.split(r"(?<=\w\.) (?=[A-Z`])", " ".join(lines))[0]


@group.command("new")
@click.argument("name")
@click.option("--like", default="tiny", show_default=True, help="The shipped recipe to begin from.")
def new(name: str, like: str) -> None:
    """Begin a recipe of your own from a shipped one; the lists it reads come along."""
    from textbookgen.api.errors import Diagnostic, RecipeError
    from textbookgen.recipe.plugin_manager import Plugins

    plugins, file = Plugins(), Path(f"{name}.toml")
    text = _shipped(plugins, like)
    if file.exists():
        raise RecipeError([Diagnostic(str(file), "is there already", "choose another name")])
    file.write_text(text.replace(f'name = "{like}"', f'name = "{name}"', 1), encoding="utf-8")
    for folder in plugins.recipe_folders():
        for entry in folder.iterdir():
            if f'"@{entry.name}"' in text and not Path(entry.name).exists():
                Path(entry.name).write_text(entry.read_text(encoding="utf-8"), encoding="utf-8")
    click.echo(f"{file}: now run `textbookgen recipe check {file}`")


def _planned(file: Path, assignments: tuple[str, ...], limit: int | None) -> tuple[Plan, Plugins]:
    from textbookgen.recipe.parser import parse_override, read_recipe
    from textbookgen.recipe.planner import make_plan
    from textbookgen.recipe.plugin_manager import Plugins

    recipe = read_recipe(file, dict(map(parse_override, assignments)))
    plugins = Plugins()
    return make_plan(recipe, plugins, limit=limit), plugins


def _shipped(plugins: Plugins, name: str) -> str:
    from textbookgen.api.errors import Diagnostic, RecipeError

    for folder in plugins.recipe_folders():
        entry = folder.joinpath(f"{name.removesuffix('.toml')}.toml")
        if entry.is_file():
            return entry.read_text(encoding="utf-8")
    raise RecipeError([Diagnostic(name, "no such recipe is shipped", "`textbookgen recipe list` shows what is")])
