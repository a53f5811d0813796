"""`textbookgen plugin`: list, show, new, check."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import show


@click.group("plugin")
def group() -> None:
    """List, create and check plugins."""


@group.command("list")
def list_plugins() -> None:
    """List installed plugins.

    Prints what each provides, or why it failed to load.
    """
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    rows = []
    for name, plugin in plugins.installed.items():
        provided = [
            use for table in (plugins.stages, plugins.teachers, plugins.samplers) for use in table if use.startswith(f"{name}/")
        ]
        outcome = f"failed to load: {plugin.error!r}" if plugin.error else ", ".join(provided)
        rows.append((name, plugin.distribution, plugin.version, outcome))
    show.table(("plugin", "distribution", "version", "provides"), rows)


@group.command("show")
@click.argument("name")
def show_plugin(name: str) -> None:
    """Print what a plugin provides.

    Lists its stages, teachers and samplers with their options.
    """
    from textbookgen.recipe.describe import OPTION_COLUMNS, first_sentence, option_rows
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    plugin = plugins.installed.get(name)
    if plugin is None:
        raise click.BadParameter(f"the plugin '{name}' is not installed", param_hint="NAME")
    error = f"\nfailed to load: {plugin.error!r}" if plugin.error else ""
    show.echo(f"{name}  ({plugin.distribution} {plugin.version}){error}")
    for table, classes in (("stage", plugins.stages), ("teacher", plugins.teachers), ("sampler", plugins.samplers)):
        for use, kind in classes.items():
            if use.startswith(f"{name}/"):
                show.echo(f"\n{table} {use}: {first_sentence(kind)}")
                show.table(OPTION_COLUMNS, option_rows(kind))


@group.command("new")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Parent folder of the plugin; the current folder by default.",
)
def new(name: str, into: Path) -> None:
    """Create a plugin to start from.

    The new package can be installed and has one stage with passing tests.
    """
    from textbookgen.scaffold import new_plugin

    folder = new_plugin(name, into)
    show.echo(f"created {folder}\nnext: `pip install -e {folder}`, then `textbookgen plugin check {name}`")


@group.command("check")
@click.argument("name")
def check(name: str) -> None:
    """Check an installed plugin.

    It must implement hooks that exist, describe every option, import no heavy library, and give consistent verdicts.
    """
    from textbookgen.testing import check_plugin

    check_plugin(name)
    show.echo(f"{name}: no problems")
