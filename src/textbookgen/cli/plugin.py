"""`textbookgen plugin`: list, show, new, check."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import show


@click.group("plugin")
def group() -> None:
    """Who is installed; make and check a plugin of your own."""


@group.command("list")
def list_plugins() -> None:
    """List installed plugins, what each brings, and which would not load."""
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    rows = []
    for name, plugin in plugins.installed.items():
        brought = [
            item
            for table in (plugins.stages, plugins.teachers, plugins.samplers)
            for item in table
            if item.startswith(f"{name}/")
        ]
        rows.append((name, plugin.distribution, plugin.version, repr(plugin.error) if plugin.error else ", ".join(brought)))
    show.table(("plugin", "distribution", "version", "brings"), rows)


@group.command("show")
@click.argument("name")
def show_plugin(name: str) -> None:
    """Print what a plugin brings: stages, teachers and samplers, with their options."""
    from textbookgen.recipe.describe import first_sentence, options_of
    from textbookgen.recipe.plugin_manager import Plugins

    plugins = Plugins()
    known = plugins.installed.get(name)
    if known is None:
        raise click.BadParameter(f"no plugin called '{name}' is installed", param_hint="NAME")
    click.echo(f"{name}  ({known.distribution} {known.version})" + (f"\ndid not load: {known.error!r}" if known.error else ""))
    for table, brought in (("stage", plugins.stages), ("teacher", plugins.teachers), ("sampler", plugins.samplers)):
        for use, kind in brought.items():
            if use.startswith(f"{name}/"):
                click.echo(f"\n{table} {use}: {first_sentence(kind)}")
                show.table(("option", "type", "default", "what it is"), options_of(kind))


@group.command("new")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="The folder to make it in.")
def new(name: str, into: Path) -> None:
    """Make a plugin of your own: a package that installs and whose tests pass, to be changed from there."""
    from textbookgen.scaffold import new_plugin

    folder = new_plugin(name, into)
    click.echo(f"{folder}: now `pip install -e {folder}` and `textbookgen plugin check {name}`")


@group.command("check")
@click.argument("name")
def check(name: str) -> None:
    """Check an installed plugin against the contract: hooks, options, descriptions, light import."""
    from textbookgen.testing import check_plugin

    check_plugin(name)
    click.echo(f"{name}: all is well")
