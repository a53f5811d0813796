"""`textbookgen run`: list, show, diff, prune."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import options, show


@click.group("run")
def group() -> None:
    """What runs came to: list, show, compare, clean up."""


@group.command("list")
@options.work
def list_runs(work: Path) -> None:
    """List the runs of a workspace, oldest first."""
    from textbookgen.run.report import clock
    from textbookgen.storage.workspace import Workspace

    rows = []
    for run in Workspace(work).runs():
        summary = run.summary()
        outcome = "not finished" if summary is None else "stopped" if summary["error"] else "finished"
        rows.append((run.name, outcome, clock(summary["seconds"]) if summary else "", len(summary["steps"]) if summary else ""))
    show.table(("run", "outcome", "time", "steps done"), rows)


@group.command("show")
@click.argument("name", default="", metavar="[RUN]")
@options.as_json
@options.work
def show_run(name: str, as_json: bool, work: Path) -> None:
    """Print a run's report, or its figures as JSON; the latest run unless one is named."""
    from textbookgen.run.report import report_text, unfinished
    from textbookgen.storage.workspace import Workspace

    workspace = Workspace(work)
    run = workspace.run(name)
    summary = run.summary() or unfinished(workspace, run)
    if as_json:
        show.as_json(summary)
    else:
        click.echo(
            report_text(run) if run.report.exists() else f"{run.name} has not finished: {len(summary['steps'])} steps are done"
        )


@group.command("diff")
@click.argument("first")
@click.argument("second")
@options.work
def diff(first: str, second: str, work: Path) -> None:
    """Compare two runs: which stages differ, and in which options."""
    from textbookgen.run.report import differences
    from textbookgen.storage.workspace import Workspace

    workspace = Workspace(work)
    rows = list(differences(workspace.run(first).plan(), workspace.run(second).plan()))
    show.table(("stage", "what", first, second), rows)


@group.command("prune")
@click.option("--yes", is_flag=True, help="Do it; without, only say what would go.")
@options.work
def prune(yes: bool, work: Path) -> None:
    """Throw away steps that no finished run's plan names; the ledger is kept."""
    from textbookgen.storage.workspace import Workspace

    for folder, size in Workspace(work).unused():
        click.echo(f"{size / 2**20:8.1f} MiB  {folder.folder.name}")
        if yes:
            folder.remove()
    if not yes:
        click.echo("nothing was removed; `--yes` does it", err=True)
