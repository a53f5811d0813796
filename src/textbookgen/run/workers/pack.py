"""How a Pack is worked: once, from the start, into an empty folder."""

from __future__ import annotations

import shutil

from textbookgen.api.artifacts import Folder
from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.stage import Packer
from textbookgen.run.workers.context import StepContext


def work(context: StepContext) -> StepRecord:
    """Packs, and looks that the card of what it gives was written."""
    stage, output = context.step.stage, context.step.output
    if not isinstance(stage, Packer) or not issubclass(output, Folder):
        raise RunError(f"'{context.step.use}' is no pack")
    shutil.rmtree(context.folder.out, ignore_errors=True)
    context.folder.out.mkdir(parents=True)
    stage.pack(context.inputs, context.folder.out)
    if not (context.folder.out / output.card_name).exists():
        raise RunError(f"'{context.step.use}' wrote no {output.card_name}")
    card = output(context.folder.out).card()
    return StepRecord(
        rows_in=context.source().count() if "from" in context.step.inputs else 0,
        rows_out=int(card.get("documents", 0)),
        tokens=int(card.get("tokens", 0)),
    )
