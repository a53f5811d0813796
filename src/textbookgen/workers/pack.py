"""How a Pack is worked: once, from the start, into an empty folder."""

from __future__ import annotations

import shutil

from textbookgen.artifacts import Folder
from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.stage import Pack
from textbookgen.workers.bench import Bench


def work(bench: Bench) -> Record:
    """Packs, and looks that the card of what it gives was written."""
    stage, gives = bench.step.stage, bench.step.gives
    if not isinstance(stage, Pack) or not issubclass(gives, Folder):
        raise RunError(f"'{bench.step.use}' is no pack")
    shutil.rmtree(bench.folder.out, ignore_errors=True)
    bench.folder.out.mkdir(parents=True)
    stage.pack(bench.given, bench.folder.out)
    if not (bench.folder.out / gives.card_name).exists():
        raise RunError(f"'{bench.step.use}' wrote no {gives.card_name}")
    card = gives(bench.folder.out).card()
    return Record(
        rows_in=bench.source().count() if "from" in bench.step.pipes else 0,
        rows_out=int(card.get("documents", 0)),
        tokens=int(card.get("tokens", 0)),
    )
