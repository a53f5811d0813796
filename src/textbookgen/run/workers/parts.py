"""Process the parts of a step independently, through an executor; each part becomes one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import polars as pl

from textbookgen.api.artifacts import Part
from textbookgen.api.errors import RunError
from textbookgen.api.files import write_frame
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs, Transform
from textbookgen.run.workers.context import StepContext

PartStage = TypeVar("PartStage", bound=Transform | Filter | CorpusFilter)


@dataclass(frozen=True, eq=False)
class PartTask(Generic[PartStage]):
    """One part to process; it can be pickled, so that another process can run it.

    `operation` turns the stage, after `prepare`, and the rows of the part into the rows to write.
    """

    stage: PartStage
    operation: Callable[[PartStage, pl.DataFrame, PartTask[PartStage]], pl.DataFrame]
    label: str
    address: str
    part: Part
    inputs: StageInputs
    out: Path


def process_parts(
    context: StepContext,
    stage: PartStage,
    operation: Callable[[PartStage, pl.DataFrame, PartTask[PartStage]], pl.DataFrame],
    kind: str,
) -> None:
    """Process every part of the input `from` whose file does not exist yet.

    The stage is prepared in this process first, so that what it writes to its folder exists, and then once in each process
    of the executor.

    Args:
        context: the step.
        stage: the stage of the step.
        operation: a function of a module, for each part.
        kind: the folder of the files: data, verdicts or sketches.
    """
    other_inputs = {option: inputs for option, inputs in context.inputs.inputs.items() if option != "from"}
    inputs = replace(context.inputs, inputs=other_inputs)
    label, address = context.step.label, context.step.address
    tasks = [
        PartTask(stage, operation, label, address, part, inputs, context.folder.part(kind, number))
        for number, part in enumerate(context.source().parts)
    ]
    waiting = [task for task in tasks if not task.out.exists()]
    done = len(tasks) - len(waiting)
    context.folder.own.mkdir(parents=True, exist_ok=True)
    if waiting:
        context.progress(done, len(tasks), "parts", "preparing")
        _prepared(_StepKey(waiting[0]))
    for _ in context.executor.map(_process, waiting):
        done += 1
        context.progress(done, len(tasks), "parts")
    _prepared.cache_clear()


class _StepKey:
    """A task as the key of its step, so that the tasks of a step share one prepared stage in each process."""

    def __init__(self, task: PartTask[PartStage]) -> None:
        self.stage, self.inputs = task.stage, task.inputs
        self._step = (task.address, str(task.inputs.folder))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _StepKey) and self._step == other._step

    def __hash__(self) -> int:
        return hash(self._step)


@lru_cache(maxsize=1)
def _prepared(key: _StepKey) -> Transform | Filter | CorpusFilter:
    """Return a prepared copy of the stage; the original stays small, since it travels with every task."""
    stage = key.stage.model_copy()
    stage.prepare(key.inputs)
    return stage


def _process(task: PartTask[PartStage]) -> None:
    stage: PartStage = _prepared(_StepKey(task))  # type: ignore[assignment]  # the cache cannot be generic
    write_frame(task.out, task.operation(stage, task.part.read(), task))


def align_verdicts(verdicts: pl.DataFrame, docs: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return the verdicts in the order of the documents.

    Args:
        verdicts: rows with `id`, `keep` (Boolean) and `reason` (String), in any order.
        docs: rows with `id`.
        label: the stage, for error messages.

    Raises:
        RunError: a column is missing, or there is not exactly one verdict for each document.
    """
    missing = {"id", "keep", "reason"} - set(verdicts.columns)
    if missing:
        raise RunError(f"the verdicts of '{label}' lack the column {', '.join(sorted(missing))}")
    verdicts = verdicts.with_columns(pl.col("keep").cast(pl.Boolean), pl.col("reason").cast(pl.String))
    if not verdicts["id"].equals(docs["id"]):
        verdicts = docs.select("id").join(verdicts, on="id", how="left", maintain_order="left")
    if len(verdicts) != len(docs) or verdicts["keep"].null_count():
        raise RunError(f"'{label}' must give exactly one verdict per document")
    return verdicts
