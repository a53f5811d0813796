"""How an Evaluate is worked: once, into an empty folder; its figures become a table and a card."""

from __future__ import annotations

import json
import shutil

from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.stage import Evaluate
from textbookgen.workers.bench import Bench
from textbookgen.workspace import write_frame, write_text


def work(bench: Bench) -> Record:
    """Measures, and writes `report.parquet` and `report.json`."""
    stage = bench.step.stage
    if not isinstance(stage, Evaluate):
        raise RunError(f"'{bench.step.use}' measures nothing")
    shutil.rmtree(bench.folder.out, ignore_errors=True)
    bench.folder.out.mkdir(parents=True)
    figures = stage.measure(bench.given, bench.folder.out)
    missing = {"subject", "metric", "value"} - set(figures.columns)
    if missing:
        raise RunError(f"the figures of '{bench.step.label}' have no column {', '.join(sorted(missing))}")
    write_frame(bench.folder.out / "report.parquet", figures)
    write_text(bench.folder.out / "report.json", json.dumps({"figures": figures.to_dicts()}, indent=1) + "\n")
    return Record(rows_out=len(figures))
