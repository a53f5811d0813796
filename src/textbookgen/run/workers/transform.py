"""How a Transform is worked: part by part, or as a stream."""

from __future__ import annotations

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.stage import Transform
from textbookgen.run.workers.context import StepContext, rows_in, signed
from textbookgen.run.workers.parts import work_parts
from textbookgen.run.workers.source import in_parts, refuse_duplicates
from textbookgen.storage.workspace import DATA


def work(context: StepContext) -> StepRecord:
    """Changes every part, or writes the stream in parts."""
    stage = context.step.stage
    if not isinstance(stage, Transform):
        raise RunError(f"'{context.step.use}' changes nothing")
    notes: tuple[str, ...] = ()
    if type(stage).stream is Transform.stream:
        work_parts(context, "change", DATA)
    else:
        notes = _stream(context, stage.model_copy())
    return StepRecord(rows_in=context.source().count(), rows_out=rows_in(context.folder.parts(DATA)), notes=notes)


def _stream(context: StepContext, stage: Transform) -> tuple[str, ...]:
    """Writes what is not there yet; returns what the stage has to say."""
    context.folder.own.mkdir(parents=True, exist_ok=True)
    done = 0
    for number, frame in enumerate(in_parts(stage.stream(context.inputs), None)):
        file = context.folder.part(DATA, number)
        if not file.exists():
            write_frame(file, signed(frame, context.step.address, "document"))
        done += len(frame)
        context.progress(done, None, "documents", "")
    refuse_duplicates(context)
    return tuple(stage.notes())
