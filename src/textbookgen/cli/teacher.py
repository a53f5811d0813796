"""`textbookgen teacher`: list, show, ask, ledger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textbookgen.cli import options, show

if TYPE_CHECKING:
    from textbookgen.api.artifacts import Artifact
    from textbookgen.api.teacher import Request, Teacher
    from textbookgen.llm import Answer
    from textbookgen.recipe.parser import Recipe
    from textbookgen.recipe.plugin_manager import Plugins


@click.group("teacher")
def group() -> None:
    """What teachers there are; ask one; what the ledger holds."""


@group.command("list")
def list_teachers() -> None:
    """List every teacher a recipe may use."""
    from textbookgen.recipe.describe import first_sentence
    from textbookgen.recipe.plugin_manager import Plugins

    show.table(("teacher", "what it is"), ((name, first_sentence(kind)) for name, kind in Plugins().teachers.items()))


@group.command("show")
@click.argument("name")
@options.as_json
def show_teacher(name: str, as_json: bool) -> None:
    """Print a teacher's options: types, defaults and descriptions, from the class itself."""
    show.brought("teacher", name, json_schema=as_json)


@group.command("ask")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("label")
@click.argument("text")
@click.option("--task", default="", help="For teachers that are programs: what is asked.")
@click.option(
    "--draw", "facts", multiple=True, metavar="KEY=VALUE", help="For teachers that are programs: what it is to be about."
)
@options.overrides
@options.work
def ask(file: Path, label: str, text: str, task: str, facts: tuple[str, ...], assignments: tuple[str, ...], work: Path) -> None:
    """Ask the teacher LABEL of a recipe once, and print its reply and what it cost; the ledger keeps it."""
    import asyncio

    from textbookgen.api.errors import Diagnostic, RecipeError
    from textbookgen.api.message import Message
    from textbookgen.api.teacher import Request
    from textbookgen.recipe.parser import parse_override, read_recipe
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.storage.workspace import Workspace

    recipe = read_recipe(file, dict(map(parse_override, assignments)))
    entry = next((item for item in recipe.of("teacher") if item.label == label), None)
    if entry is None:
        raise RecipeError(
            [Diagnostic(recipe.place("recipe"), f"no teacher is called '{label}'", f"add a [teacher.{label}] table")]
        )
    plugins = Plugins()
    teacher = plugins.find("teacher", entry.use)(**entry.options)
    teacher.prepare(_flows(recipe, plugins, teacher, work), plugins.model)
    request = Request((Message("user", text),), task=task, draw=dict(map(parse_override, facts)))
    answer = asyncio.run(_answer(teacher, entry.use, Workspace(work).ledger, request))
    reply = answer.reply
    click.echo(reply.text)
    paid = "" if answer.paid else ", from the ledger"
    click.echo(
        f"{reply.tokens_in:,} tokens read, {reply.tokens_out:,} written, ${reply.cost_usd:.6f}, {reply.finish}{paid}", err=True
    )


def _flows(recipe: Recipe, plugins: Plugins, teacher: Teacher, work: Path) -> dict[str, Artifact]:
    """What flows in through the teacher's pipes from stages that a run has worked."""
    from textbookgen.api.annotations import Input, options_with
    from textbookgen.api.artifacts import Folder
    from textbookgen.api.errors import Diagnostic, RecipeError
    from textbookgen.recipe.planner import make_plan
    from textbookgen.storage.workspace import Workspace

    labels = {str(getattr(teacher, name)) for name, _ in options_with(type(teacher), Input)} & {
        e.label for e in recipe.of("stage")
    }
    inputs: dict[str, Artifact] = {}
    for step in make_plan(recipe, plugins).steps if labels else ():
        if step.label in labels and issubclass(step.output, Folder):
            folder = Workspace(work).step(step.address)
            if folder.record() is None:
                place, hint = recipe.place("stage", step.label), "run the recipe up to it with `recipe run FILE --until`"
                raise RecipeError([Diagnostic(place, "has not been worked, and the teacher answers from it", hint)])
            inputs[step.label] = step.output(folder.out)
    return inputs


async def _answer(teacher: Teacher, use: str, path: Path, request: Request) -> Answer:
    """One request's answer, through the ledger as in a run."""
    from textbookgen.llm import Client
    from textbookgen.storage.ledger import Ledger

    kept = Ledger(path)
    try:
        async with Client(teacher, use, kept) as client:
            return await client.answer(request)
    finally:
        kept.close()


@group.command("ledger")
@click.option("--export", "to", type=click.Path(path_type=Path), help="Write every reply to this parquet file.")
@click.option("--import", "source", type=click.Path(path_type=Path, exists=True), help="Take in the replies of such a file.")
@options.as_json
@options.work
def ledger(to: Path | None, source: Path | None, as_json: bool, work: Path) -> None:
    """Show what the ledger holds: replies, tokens, money and size, by teacher; export or import replies."""
    from dataclasses import asdict

    from textbookgen.storage.ledger import Ledger
    from textbookgen.storage.workspace import Workspace

    kept = Ledger(Workspace(work).ledger)
    try:
        if source is not None:
            click.echo(f"{kept.import_parquet(source):,} replies were taken in", err=True)
        if to is not None:
            click.echo(f"{kept.export_parquet(to):,} replies were written to {to}", err=True)
        rows = [asdict(item) for item in kept.summary()]
    finally:
        kept.close()
    if as_json:
        show.as_json(rows)
    else:
        columns = ("teacher", "options", "replies", "tokens read", "tokens written", "paid", "size")
        show.table(columns, (_spent(row) for row in rows))


def _spent(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What one teacher's replies came to, as people read it."""
    from textbookgen.recipe.describe import as_toml

    counts = (f"{row[name]:,}" for name in ("replies", "tokens_in", "tokens_out"))
    options = as_toml(row["options"]) if row["options"] else ""
    return (row["use"], options, *counts, f"${row['cost_usd']:,.4f}", f"{row['bytes'] / 2**20:,.1f} MiB")
