"""`textbookgen corpus`: head, stats, why, dropped."""

from __future__ import annotations

from pathlib import Path

import click

from textbookgen.cli import options, show


@click.group("corpus")
def group() -> None:
    """Inspect documents and trace why each was kept or dropped."""


@group.command("head")
@click.argument("stage", metavar="STAGE")
@click.option("-n", "rows", default=5, show_default=True, help="Number of documents.")
@options.run_name
@options.as_json
@options.work
def head(stage: str, rows: int, run_name: str, as_json: bool, work: Path) -> None:
    """Print the first documents of a stage.

    Documents that a teacher wrote are printed with their prompts.
    """
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    lineage = Lineage(Workspace(work), run_name)
    documents = lineage.first_documents(stage, rows)
    if as_json:
        show.json_lines(documents)
        return
    for document in documents:
        show.echo(lineage.format_document(document))


@group.command("stats")
@click.argument("stage", metavar="STAGE")
@options.run_name
@options.as_json
@options.work
def stats(stage: str, run_name: str, as_json: bool, work: Path) -> None:
    """Count documents, bytes and words by kind."""
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    counts = Lineage(Workspace(work), run_name).count_by_kind(stage)
    if as_json:
        show.json_lines(counts.to_dicts())
    else:
        show.table([column.replace("_", " ") for column in counts.columns], counts.iter_rows())


@group.command("why")
@click.argument("document", metavar="ID")
@options.run_name
@options.as_json
@options.work
def why(document: str, run_name: str, as_json: bool, work: Path) -> None:
    """Trace the history of a document.

    Prints its recipe, stage, prompt, reply and parents, the verdict of every filter, and the shards that contain it.
    """
    from dataclasses import asdict

    from textbookgen.provenance.history import format_history
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    history = Lineage(Workspace(work), run_name).history(document)
    if as_json:
        show.as_json(asdict(history))
    else:
        show.echo(format_history(history))


@group.command("dropped")
@click.argument("stage", metavar="STAGE")
@click.option("-n", "examples", default=2, show_default=True, help="Number of examples for each reason.")
@options.run_name
@options.as_json
@options.work
def dropped(stage: str, examples: int, run_name: str, as_json: bool, work: Path) -> None:
    """List why a stage dropped documents.

    Prints each reason with the number of documents and examples.
    """
    from textbookgen.provenance.lineage import Lineage
    from textbookgen.storage.workspace import Workspace

    reasons = list(Lineage(Workspace(work), run_name).dropped(stage, examples))
    if as_json:
        show.json_lines(reasons)
        return
    for reason in reasons:
        show.echo(f"\n{reason['documents']:,} × {reason['reason']}")
        for example in reason["examples"]:
            detail = f"\n    {example['detail']}" if example["detail"] else ""
            show.echo(f"  {example['id']}  {example['text']}{detail}")
