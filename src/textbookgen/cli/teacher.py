"""`textbookgen teacher`: list, show, ask, ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from textbookgen.cli import options, show

if TYPE_CHECKING:
    from textbookgen.api.artifacts import Artifact
    from textbookgen.api.teacher import Request, Teacher
    from textbookgen.llm import Answer
    from textbookgen.recipe.parser import Recipe
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.storage.ledger import TeacherTotals


@click.group("teacher")
def group() -> None:
    """List teachers and their options, send a request, inspect cached replies."""


@group.command("list")
def list_teachers() -> None:
    """List all teachers."""
    from textbookgen.recipe.describe import first_sentence
    from textbookgen.recipe.plugin_manager import Plugins

    show.table(("teacher", "purpose"), ((name, first_sentence(kind)) for name, kind in Plugins().teachers.items()))


@group.command("show")
@click.argument("name")
@options.as_json
def show_teacher(name: str, as_json: bool) -> None:
    """Print the options of a teacher."""
    show.options("teacher", name, json_schema=as_json)


@group.command("ask")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("label")
@click.argument("text")
@click.option("--task", default="", help="For stand-in teachers: the name of the task.")
@click.option("--draw", "variables", multiple=True, metavar="KEY=VALUE", help="For stand-in teachers: a prompt variable.")
@options.overrides
@options.work
def ask(
    file: Path, label: str, text: str, task: str, variables: tuple[str, ...], assignments: tuple[str, ...], work: Path
) -> None:
    """Send one prompt to a teacher of a recipe.

    Prints the reply, its tokens and its cost. The reply is cached in the ledger, as in a run.
    """
    import asyncio

    from textbookgen.api.message import Message
    from textbookgen.api.teacher import Request, Teacher
    from textbookgen.recipe.options import build_table
    from textbookgen.recipe.overrides import parse_override
    from textbookgen.recipe.parser import read_recipe
    from textbookgen.recipe.plugin_manager import Plugins
    from textbookgen.storage.workspace import Workspace

    recipe, plugins = read_recipe(file, dict(map(parse_override, assignments))), Plugins()
    teacher = build_table(recipe, Teacher, label, plugins)
    teacher.prepare(_inputs(recipe, plugins, teacher, work), plugins.model)
    request = Request((Message("user", text),), task=task, draw=dict(map(parse_override, variables)))
    answer = asyncio.run(_answer(teacher, recipe.entry("teacher", label).use, Workspace(work).ledger, request))
    reply = answer.reply
    show.echo(reply.text)
    tokens = f"{reply.tokens_in:,} prompt tokens, {reply.tokens_out:,} reply tokens"
    cached = ", from the ledger" if answer.from_ledger else ""
    show.echo(f"{tokens}, ${reply.cost_usd:.6f}, finish: {reply.finish}{cached}", err=True)


def _inputs(recipe: Recipe, plugins: Plugins, teacher: Teacher, work: Path) -> dict[str, Artifact]:
    """Return the outputs of completed stages that the teacher answers from, such as a trained model."""
    from textbookgen.api.annotations import Input, options_with
    from textbookgen.api.artifacts import Folder
    from textbookgen.api.errors import Diagnostic, RecipeError
    from textbookgen.recipe.planner import make_plan
    from textbookgen.storage.workspace import Workspace

    stages = {entry.label for entry in recipe.of("stage")}
    labels = stages & {str(getattr(teacher, name)) for name, _ in options_with(type(teacher), Input)}
    inputs: dict[str, Artifact] = {}
    for step in make_plan(recipe, plugins).steps if labels else ():
        if step.label in labels and issubclass(step.output, Folder):
            folder = Workspace(work).step(step.address)
            if folder.record() is None:
                hint = f"run `textbookgen recipe run {recipe.path} --until {step.label}` first"
                problem = "the teacher answers from this stage, which has not been run"
                raise RecipeError([Diagnostic(recipe.place("stage", step.label), problem, hint)])
            inputs[step.label] = step.output(folder.out)
    return inputs


async def _answer(teacher: Teacher, use: str, path: Path, request: Request) -> Answer:
    """Send one request through the ledger, as a run does."""
    from textbookgen.llm import Client
    from textbookgen.storage.ledger import Ledger

    ledger = Ledger(path)
    try:
        async with Client(teacher, use, ledger) as client:
            return await client.complete(request)
    finally:
        ledger.close()


@group.command("ledger")
@click.option(
    "--export", "target", type=click.Path(path_type=Path), metavar="FILE", help="Export all replies to a parquet file."
)
@click.option(
    "--import",
    "source",
    type=click.Path(path_type=Path, exists=True),
    metavar="FILE",
    help="Import replies from a parquet file.",
)
@options.as_json
@options.work
def ledger(target: Path | None, source: Path | None, as_json: bool, work: Path) -> None:
    """Show, export or import cached replies.

    Prints replies, tokens, cost and size by teacher.
    """
    from dataclasses import asdict

    from textbookgen.storage.ledger import Ledger
    from textbookgen.storage.ledger.parquet import export_parquet, import_parquet
    from textbookgen.storage.workspace import Workspace

    replies = Ledger(Workspace(work).ledger)
    try:
        if source is not None:
            show.echo(f"imported {import_parquet(replies, source):,} replies", err=True)
        if target is not None:
            show.echo(f"exported {export_parquet(replies, target):,} replies to {target}", err=True)
        totals = replies.totals()
    finally:
        replies.close()
    if as_json:
        show.as_json([asdict(item) for item in totals])
    else:
        columns = ("teacher", "options", "replies", "prompt tokens", "reply tokens", "cost", "size")
        show.table(columns, map(_totals_row, totals))


def _totals_row(totals: TeacherTotals) -> tuple[str, ...]:
    """Return the table row of one teacher."""
    from textbookgen.recipe.describe import as_toml

    counts = (f"{count:,}" for count in (totals.replies, totals.tokens_in, totals.tokens_out))
    options = as_toml(totals.options) if totals.options else ""
    return (totals.use, options, *counts, f"${totals.cost_usd:,.4f}", f"{totals.bytes / 2**20:,.1f} MiB")
