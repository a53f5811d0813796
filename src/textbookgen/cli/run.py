"""`textbookgen run`: list, show, compare, diff, prune, verify."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import options, show


@click.group("run")
def group() -> None:
    """List, show, compare and clean up runs."""


@group.command("list")
@options.work
def list_runs(work: Path) -> None:
    """List the runs in a work folder, oldest first."""
    from textbookgen.api.errors import WorkspaceError
    from textbookgen.run.report import format_duration
    from textbookgen.storage.workspace import Workspace

    rows = []
    for run in Workspace(work).runs():
        if not run.ended:
            rows.append((run.name, "not finished", "", ""))
            continue
        try:
            summary = run.summary()
        except WorkspaceError as error:
            rows.append((run.name, f"damaged: {error.place} is {error.problem}", "", ""))
            continue
        outcome = "failed" if summary.error else "finished"
        rows.append((run.name, outcome, format_duration(summary.seconds), str(len(summary.steps))))
    show.table(("run", "status", "duration", "completed steps"), rows)


@group.command("show")
@click.argument("name", default="", metavar="[RUN]")
@options.as_json
@options.work
def show_run(name: str, as_json: bool, work: Path) -> None:
    """Print the report of a run.

    The latest run by default. With --json, prints the figures of all steps and models.
    """
    from textbookgen.run.report import report_text
    from textbookgen.run.summary import summarize_unfinished
    from textbookgen.storage.records import record_json
    from textbookgen.storage.workspace import Workspace

    workspace = Workspace(work)
    run = workspace.run(name)
    summary = run.summary() if run.ended else summarize_unfinished(workspace, run)
    if as_json:
        show.echo(record_json(summary))
    elif run.report.exists():
        show.echo(report_text(run))
    else:
        show.echo(f"{run.name} has not finished; completed steps: {len(summary.steps)}")


@group.command("compare")
@click.argument("first", metavar="RUN[:MODEL]")
@click.argument("second", metavar="RUN[:MODEL]")
@options.as_json
@options.work
def compare(first: str, second: str, as_json: bool, work: Path) -> None:
    """Compare the scores of two runs or two models, item by item.

    Without MODEL, the models that both runs have. Without RUN, as in `:base :tuned`, models of the latest run. Shows paired
    differences with intervals and tests, the smallest difference that could have been detected, time, tokens and cost.
    """
    from textbookgen.cli.comparison import print_comparison
    from textbookgen.run.comparison import compare_runs
    from textbookgen.storage.records import record_json
    from textbookgen.storage.workspace import Workspace

    comparison = compare_runs(Workspace(work), first, second)
    if as_json:
        show.echo(record_json(comparison))
    else:
        print_comparison(comparison)


@group.command("diff")
@click.argument("first")
@click.argument("second")
@options.work
def diff(first: str, second: str, work: Path) -> None:
    """Compare the plans of two runs: which stages differ, and in which options."""
    from textbookgen.run.plan_differences import compare_plans
    from textbookgen.storage.workspace import Workspace

    workspace = Workspace(work)
    rows = list(compare_plans(workspace.run(first).plan(), workspace.run(second).plan()))
    show.table(("stage", "option", first, second), rows)


@group.command("prune")
@click.option("--yes", is_flag=True, help="Delete them; without it, only list them.")
@options.work
def prune(yes: bool, work: Path) -> None:
    """Delete steps that no finished run uses. Cached replies are kept."""
    from textbookgen.storage.workspace import Workspace

    unused = Workspace(work).unused_steps()
    for step, size in unused:
        show.echo(f"{size / 2**20:8.1f} MiB  {step.folder.name}")
        if yes:
            step.remove()
    if unused and not yes:
        show.echo("nothing was deleted; add --yes to delete these steps", err=True)
    elif not unused:
        show.echo("no unused steps", err=True)


@group.command("verify")
@click.argument("name", default="", metavar="[RUN]")
@click.option("--repair", is_flag=True, help="Delete damaged files, so that the next run writes them again.")
@options.as_json
@options.work
def verify(name: str, repair: bool, as_json: bool, work: Path) -> None:
    """Compare every file of a run's steps with the size and SHA-256 in its record.

    The latest run by default. Exits with 1 if a file is missing or differs.
    """
    from dataclasses import asdict

    from textbookgen.run.verification import verify_run
    from textbookgen.storage.workspace import Workspace

    workspace = Workspace(work)
    results = list(verify_run(workspace, workspace.run(name), repair=repair))
    if as_json:
        show.as_json([{**asdict(result), "status": result.status} for result in results])
    else:
        rows = [(result.label, result.files, f"{result.bytes / 2**20:,.1f}", result.status) for result in results]
        show.table(("step", "files", "MiB", "status"), rows)
    if any(result.damage for result in results):
        if not repair:
            show.echo("`--repair` deletes damaged files; the next run writes them again", err=True)
        raise SystemExit(1)
