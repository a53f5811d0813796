"""`textbookgen corpus`: head, stats, why, dropped."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import options, show


@click.group("corpus")
def group() -> None:
    """Look at documents: what is there, why it is there, why it is not."""


@group.command("head")
@click.argument("name", metavar="LABEL")
@click.option("-n", "rows", default=5, show_default=True, help="How many.")
@click.option("--run", "run_name", default="", help="Another run than the latest.")
@options.as_json
@options.work
def head(name: str, rows: int, run_name: str, as_json: bool, work: Path) -> None:
    """Print the first documents that flow out of a stage, with the prompt each answers, if it was asked for."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    lineage = Lineage(Workspace(work), run_name)
    result = lineage.first(name, rows)
    if as_json:
        show.json_lines(result)
        return
    for row in result:
        click.echo(lineage.printed(row))


@group.command("stats")
@click.argument("name", metavar="LABEL")
@click.option("--run", "run_name", default="", help="Another run than the latest.")
@options.as_json
@options.work
def stats(name: str, run_name: str, as_json: bool, work: Path) -> None:
    """Count what flows out of a stage: documents, bytes and words, by kind."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    counted = Lineage(Workspace(work), run_name).counted(name)
    if as_json:
        show.json_lines(counted.to_dicts())
    else:
        show.table(counted.columns, counted.iter_rows())


@group.command("why")
@click.argument("document", metavar="ID")
@click.option("--run", "run_name", default="", help="Another run than the latest.")
@options.as_json
@options.work
def why(document: str, run_name: str, as_json: bool, work: Path) -> None:
    """Tell a document's whole story: where it comes from, what was asked, and which verdicts it met."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    lineage = Lineage(Workspace(work), run_name)
    story = lineage.story(document)
    if as_json:
        show.as_json(story)
    else:
        click.echo(lineage.told(story))


@group.command("dropped")
@click.argument("name", metavar="LABEL")
@click.option("-n", "examples", default=2, show_default=True, help="Examples of each reason.")
@click.option("--run", "run_name", default="", help="Another run than the latest.")
@options.as_json
@options.work
def dropped(name: str, examples: int, run_name: str, as_json: bool, work: Path) -> None:
    """What a stage dropped: each reason with its count and examples."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    reasons = list(Lineage(Workspace(work), run_name).dropped(name, examples))
    if as_json:
        show.json_lines(reasons)
        return
    for reason in reasons:
        click.echo(f"\n{reason['documents']:,} × {reason['reason']}")
        for example in reason["examples"]:
            evidence = f"\n    {example['detail']}" if example["detail"] else ""
            click.echo(f"  {example['id']}  {example['text']}{evidence}")
