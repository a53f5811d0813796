"""How a Transform is worked: part by part, or as a stream."""

from __future__ import annotations

from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.stage import Transform
from textbookgen.workers.bench import Bench, rows_in, signed
from textbookgen.workers.parts import work_parts
from textbookgen.workers.source import in_parts, refuse_twins
from textbookgen.workspace import DATA, write_frame


def work(bench: Bench) -> Record:
    """Changes every part, or writes the stream in parts."""
    stage = bench.step.stage
    if not isinstance(stage, Transform):
        raise RunError(f"'{bench.step.use}' changes nothing")
    notes: tuple[str, ...] = ()
    if type(stage).stream is Transform.stream:
        work_parts(bench, "change", DATA)
    else:
        notes = _stream(bench, stage.model_copy())
    return Record(rows_in=bench.source().count(), rows_out=rows_in(bench.folder.parts(DATA)), notes=notes)


def _stream(bench: Bench, stage: Transform) -> tuple[str, ...]:
    """Writes what is not there yet; returns what the stage has to say."""
    bench.folder.own.mkdir(parents=True, exist_ok=True)
    done = 0
    for number, frame in enumerate(in_parts(stage.stream(bench.given), None)):
        file = bench.folder.part(DATA, number)
        if not file.exists():
            write_frame(file, signed(frame, bench.step.address, "document"))
        done += len(frame)
        bench.progress(done, None, "documents", "")
    refuse_twins(bench)
    return tuple(stage.notes())
