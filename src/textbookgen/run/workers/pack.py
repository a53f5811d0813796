"""Run a Packer: once, from the start, into an empty folder."""

from __future__ import annotations

import shutil

from textbookgen.api.artifacts import Folder, Table
from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.stage import Packer
from textbookgen.run.workers.context import StepContext


def run_step(context: StepContext, stage: Packer) -> StepRecord:
    """Pack, and check that the card of the output was written."""
    output = context.step.output
    if not issubclass(output, Folder):
        raise RunError(f"the output of '{context.step.use}' must be a folder, but is declared as {output.name}")
    shutil.rmtree(context.folder.out, ignore_errors=True)
    context.folder.out.mkdir(parents=True)
    stage.pack(context.inputs, context.folder.out)
    if not (context.folder.out / output.card_name).exists():
        raise RunError(f"'{context.step.use}' did not write {output.card_name}")
    card = output(context.folder.out).card()
    tables = [artifact for artifact in context.inputs.by_label("from").values() if isinstance(artifact, Table)]
    rows = card.get("rows")
    return StepRecord(
        rows_in=sum(table.count() for table in tables),
        rows_out=int((card.get("documents") if rows is None else rows) or 0),
        dropped={str(reason): int(count) for reason, count in (card.get("left_out") or {}).items()},
        tokens=int(card.get("tokens") or 0),
    )
