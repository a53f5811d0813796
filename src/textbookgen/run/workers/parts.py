"""Works the parts of a step apart from each other, through an executor: each part becomes one file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import polars as pl

from textbookgen.api.artifacts import Part
from textbookgen.api.errors import RunError
from textbookgen.api.files import write_frame
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs, Transform
from textbookgen.run.workers.context import StepContext, signed, views

Doing = Literal["change", "judge", "sketch"]


@dataclass(frozen=True, eq=False)
class Task:
    """One part to be worked; it can be pickled."""

    stage: Transform | Filter | CorpusFilter
    label: str
    address: str
    doing: Doing
    part: Part
    given: StageInputs
    out: Path


def work_parts(context: StepContext, doing: Doing, kind: str) -> None:
    """Works every part that is not there yet; the stage is prepared here first, then once in each process."""
    stage = context.step.stage
    if not isinstance(stage, Transform | Filter | CorpusFilter):
        raise RunError(f"'{context.step.use}' has no parts to work")
    table = context.source()
    given = replace(
        context.inputs, inputs={option: inputs for option, inputs in context.inputs.inputs.items() if option != "from"}
    )
    tasks = [
        Task(stage, context.step.label, context.step.address, doing, part, given, context.folder.part(kind, number))
        for number, part in views(table)
    ]
    waiting = [task for task in tasks if not task.out.exists()]
    done = len(tasks) - len(waiting)
    context.folder.own.mkdir(parents=True, exist_ok=True)
    if waiting:
        context.progress(done, len(tasks), "parts", "preparing")
        _ready(_Key(waiting[0]))
    for _ in context.executor.map(_work, waiting):
        done += 1
        context.progress(done, len(tasks), "parts", "")
    _ready.cache_clear()


class _Key:
    """A task as the key of its step: tasks of one step are prepared once in a process."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def _facts(self) -> tuple[str, str]:
        return self.task.address, str(self.task.given.folder)


@lru_cache(maxsize=1)
def _ready(key: _Key) -> Transform | Filter | CorpusFilter:
    """The stage, prepared; a copy, so that what travels to other processes stays light."""
    stage = key.task.stage.model_copy()
    stage.prepare(key.task.given)
    return stage


def _work(task: Task) -> None:
    stage, docs = _ready(_Key(task)), task.part.read()
    write_frame(task.out, _DOING[task.doing](stage, docs, task))


def _changed(stage: Transform, docs: pl.DataFrame, task: Task) -> pl.DataFrame:
    return signed(stage.transform(docs), task.address, "document")


def _judged(stage: Filter, docs: pl.DataFrame, task: Task) -> pl.DataFrame:
    return aligned(stage.decide(docs), docs, task.label)


def _sketched(stage: CorpusFilter, docs: pl.DataFrame, task: Task) -> pl.DataFrame:
    sketches = stage.sketch(docs)
    if not sketches["id"].equals(docs["id"]):
        raise RunError(f"'{task.label}' must give one sketch for each document, in their order")
    return sketches


_DOING: dict[Doing, Callable[..., pl.DataFrame]] = {"change": _changed, "judge": _judged, "sketch": _sketched}


def aligned(verdicts: pl.DataFrame, docs: pl.DataFrame, label: str) -> pl.DataFrame:
    """The verdicts in the order of the documents, after a look that there is exactly one for each.

    Raises:
        RunError: one is missing or too many, or a column is.
    """
    missing = {"id", "keep", "reason"} - set(verdicts.columns)
    if missing:
        raise RunError(f"the verdicts of '{label}' have no column {', '.join(sorted(missing))}")
    verdicts = verdicts.with_columns(pl.col("keep").cast(pl.Boolean), pl.col("reason").cast(pl.String))
    if not verdicts["id"].equals(docs["id"]):
        verdicts = docs.select("id").join(verdicts, on="id", how="left", maintain_order="left")
    if len(verdicts) != len(docs) or verdicts["keep"].null_count():
        raise RunError(f"'{label}' must give exactly one verdict for each document")
    return verdicts
