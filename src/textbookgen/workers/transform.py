"""How a Transform is worked: part by part."""

from __future__ import annotations

from textbookgen.events import Record
from textbookgen.workers.bench import Bench, rows_in
from textbookgen.workers.parts import work_parts
from textbookgen.workspace import DATA


def work(bench: Bench) -> Record:
    """Changes every part."""
    work_parts(bench, "change", DATA)
    return Record(rows_in=bench.source().count(), rows_out=rows_in(bench.folder.parts(DATA)))
