"""Run a Source: read its frames and write them as parts."""

from __future__ import annotations

from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.stage import Source
from textbookgen.recipe.fingerprint import fingerprint, source_facts
from textbookgen.run.workers.context import StepContext, count_rows
from textbookgen.run.workers.stream import write_stream
from textbookgen.storage.workspace import DATA


def run_step(context: StepContext, stage: Source) -> StepRecord:
    """Read all documents, or as many as the limit of the plan allows."""
    reading = stage.model_copy()
    rows = write_stream(context, reading.read(), context.step.limit)
    passed_over = dict(sorted(reading.passed_over().items(), key=lambda item: (-item[1], item[0])))
    skipped = sum(passed_over.values())
    if not rows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in passed_over.items())
        problem = f"no documents were read; passed over: {reasons}" if passed_over else "no documents were read"
        raise RunError(problem, hint="check the path, and the options that exclude documents")
    if fingerprint(source_facts(stage, context.step.use, context.step.limit)) != context.step.fingerprint:
        context.folder.clear()
        hint = "run the recipe again when nothing writes to them"
        raise RunError("the files have changed since the recipe was planned, or while they were read", hint=hint)
    return StepRecord(rows_in=rows + skipped, rows_out=count_rows(context.folder.parts(DATA)), dropped=passed_over)
