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
    from textbookgen.recipe.plugin_manager import Plugins

#: Exit code of a run that finished although some documents failed.
SOME_FAILED = 3


@click.group("recipe")
def group() -> None:
    """Run, check, list and create recipes."""


@group.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--until", metavar="LABEL", help="Stop after this stage.")
@click.option(
    "--again",
    "rerun",
    metavar="LABEL",
    multiple=True,
    help="Re-run this stage; cached replies are still used. Can be repeated.",
)
@options.limit
@options.overrides
@click.option("--offline", is_flag=True, help="Send no requests: use cached replies only.")
@click.option(
    "--executor",
    default="processes",
    show_default=True,
    help="Where parts are processed: serial, processes, processes:N, or one that a plugin provides.",
)
@click.option("--quiet", is_flag=True, help="Hide progress.")
@options.work
def run(
    file: Path,
    until: str | None,
    rerun: tuple[str, ...],
    limit: int | None,
    assignments: tuple[str, ...],
    offline: bool,
    executor: str,
    quiet: bool,
    work: Path,
) -> None:
    """Run a recipe. Completed steps are reused.

    Exit code: 0 if the run finished, 3 if it finished but some documents failed (see the report), 1 if it failed.
    """
    from textbookgen.builtin.console import Console
    from textbookgen.recipe.overrides import parse_override
    from textbookgen.run.api import load_recipe, run_recipe

    result = run_recipe(
        load_recipe(file, dict(map(parse_override, assignments))),
        work=work,
        until=until,
        limit=limit,
        rerun=rerun,
        offline=offline,
        executor=executor,
        observers=[] if quiet else [("console", Console().observe)],
    )
    show.echo(str(result.report))
    if result.summary.failures:
        sys.exit(SOME_FAILED)


@group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@options.overrides
@options.as_json
@options.work
def check(file: Path, assignments: tuple[str, ...], as_json: bool, work: Path) -> None:
    """Validate a recipe and estimate its cost, without running it.

    After `recipe run FILE --limit 20`, the estimate is based on the replies of that run.
    """
    from textbookgen.provenance.cost_estimate import disk_warnings, estimate_cost
    from textbookgen.provenance.estimate_table import COLUMNS, estimate_rows, requirements_text, total_sentence
    from textbookgen.recipe.overrides import parse_override
    from textbookgen.run.api import load_recipe, plan_recipe
    from textbookgen.storage.workspace import Workspace

    plan = plan_recipe(load_recipe(file, dict(map(parse_override, assignments))))
    estimate = estimate_cost(plan, Workspace(work))
    if as_json:
        show.as_json(estimate.as_dict())
    else:
        count = f"{len(plan.steps)} step{'s' * (len(plan.steps) != 1)}"
        show.table(COLUMNS, estimate_rows(estimate), title=f"{plan.recipe.name}: {count}")
        show.echo(total_sentence(estimate))
    if plan.missing_requirements:
        show.echo(requirements_text(plan.missing_requirements), err=True)
    for warning in (*estimate.warnings(), *disk_warnings(estimate, work)):
        show.echo(f"warning: {warning}", err=True)


@group.command("show")
@click.argument("name")
def show_recipe(name: str) -> None:
    """Print a shipped recipe."""
    from textbookgen.recipe.plugin_manager import Plugins

    show.echo(_shipped_recipe(Plugins(), name), nl=False)


@group.command("list")
def list_recipes() -> None:
    """List the shipped recipes."""
    from textbookgen.recipe.plugin_manager import Plugins

    rows = []
    for folder in Plugins().recipe_folders():
        for entry in sorted(folder.iterdir(), key=lambda item: item.name):
            if entry.name.endswith(".toml"):
                rows.append((entry.name.removesuffix(".toml"), _first_sentence(entry.read_text(encoding="utf-8"))))
    show.table(("recipe", "description"), rows)


def _first_sentence(text: str) -> str:
    """Return the first sentence of the comment at the top of a recipe."""
    lines = [line.lstrip("# ") for line in itertools.takewhile(lambda line: line.startswith("# "), text.splitlines())]
    return re.split(r"(?<=\w\.) (?=[A-Z`])", " ".join(lines))[0]


@group.command("new")
@click.argument("name")
@click.option("--like", default="tiny", show_default=True, metavar="RECIPE", help="The shipped recipe to copy.")
def new(name: str, like: str) -> None:
    """Create a recipe from a shipped one.

    Writes NAME.toml to the current folder, and the list files that the recipe reads.
    """
    from textbookgen.api.errors import Diagnostic, RecipeError
    from textbookgen.recipe.parser import NAME_RULE, is_valid_name
    from textbookgen.recipe.plugin_manager import Plugins

    if not is_valid_name(name):
        raise click.BadParameter(NAME_RULE, param_hint="NAME")
    plugins, file = Plugins(), Path(f"{name}.toml")
    text = _shipped_recipe(plugins, like)
    if file.exists():
        raise RecipeError([Diagnostic(str(file), "the file exists already", "choose another name")])
    file.write_text(text.replace(f'name = "{like}"', f'name = "{name}"', 1), encoding="utf-8")
    for folder in plugins.recipe_folders():
        for entry in folder.iterdir():
            if f'"@{entry.name}"' in text and not Path(entry.name).exists():
                Path(entry.name).write_text(entry.read_text(encoding="utf-8"), encoding="utf-8")
    show.echo(f"created {file}\nnext: `textbookgen recipe check {file}`")


def _shipped_recipe(plugins: Plugins, name: str) -> str:
    from textbookgen.api.errors import Diagnostic, RecipeError

    for folder in plugins.recipe_folders():
        entry = folder.joinpath(f"{name.removesuffix('.toml')}.toml")
        if entry.is_file():
            return entry.read_text(encoding="utf-8")
    hint = "`textbookgen recipe list` lists the shipped recipes"
    raise RecipeError([Diagnostic(name, "there is no shipped recipe of this name", hint)])
