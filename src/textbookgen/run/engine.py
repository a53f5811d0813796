"""Walks a Plan from the top: hands each step that is not done to its worker, and tells observers."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textbookgen.api.artifacts import Artifact, Folder, Part, Table
from textbookgen.api.errors import Diagnostic, RecipeError, RunError, TextbookgenError
from textbookgen.api.events import Event, Progress, RunFinished, RunStarted, StageFinished, StageStarted, StepRecord
from textbookgen.api.executor import Executor
from textbookgen.api.stage import (
    CorpusFilter,
    Evaluator,
    Filter,
    Generator,
    Packer,
    Source,
    Stage,
    StageInputs,
    Trainer,
    Transform,
)
from textbookgen.api.teacher import Teacher
from textbookgen.builtin.event_log import Journal
from textbookgen.llm import TeacherSession
from textbookgen.recipe.planner import Bound, Plan, PlannedStep, fingerprinted_options
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.report import summarise, write_report
from textbookgen.run.workers import evaluate, filter, generate, pack, source, train, transform
from textbookgen.run.workers.context import StepContext
from textbookgen.storage.workspace import DATA, VERDICTS, RunFolder, StepFolder, Workspace

log = logging.getLogger(__name__)

_TELL_EVERY = 0.1  # seconds between two Progress events of a step


@dataclass
class Observers:
    """Those who are told; one that raises is reported once and told no more."""

    listeners: list[tuple[str, Callable[..., None]]]

    def tell(self, event: Event) -> None:
        """Tells everyone, in order."""
        for name, listener in list(self.listeners):
            try:
                listener(event=event)
            except Exception as error:  # an observer must not harm the run
                log.warning("observer %s failed and is told no more: %r", name, error)
                self.listeners.remove((name, listener))


@dataclass
class Run:
    """One walk down a plan."""

    plan: Plan
    workspace: Workspace
    plugins: Plugins
    executor: Executor
    observers: Observers
    again: frozenset[str] = frozenset()
    offline: bool = False
    inputs: dict[str, Artifact] = field(default_factory=dict)
    desks: dict[str, TeacherSession] = field(default_factory=dict)
    teachers: dict[str, Teacher] = field(default_factory=dict)
    records: dict[str, tuple[StepRecord, bool]] = field(default_factory=dict)

    def walk(self) -> None:
        """Works every step in order."""
        for step in self.plan.steps:
            folder = self.workspace.step(step.address)
            with folder.lock():
                record, cached = self._done(step, folder)
            self.records[step.label] = record, cached
            self.observers.tell(StageFinished(step.label, step.use, cached, record))
            self.inputs[step.label] = self._outflow(step, folder)

    def _done(self, step: PlannedStep, folder: StepFolder) -> tuple[StepRecord, bool]:
        """The step's record, and whether it was there before."""
        if step.label in self.again:
            folder.clear()
        result = folder.record()
        if result is not None:
            return result, True
        self.observers.tell(StageStarted(step.label, step.use, folder.folder))
        started = time.monotonic()
        _forget_peak()
        try:
            record = _work(self._bench(step, folder))
        except TextbookgenError as error:
            raise _at(error, f"{self.plan.recipe.place('stage', step.label)}") from error
        record = replace(
            record, seconds=round(time.monotonic() - started, 3), peak_mib=round(max(record.peak_mib, _peak_mib(step.stage)), 1)
        )
        folder.finish(record, _facts(step))
        return record, False

    def _bench(self, step: PlannedStep, folder: StepFolder) -> StepContext:
        inputs = {option: {label: self.inputs[label] for label in labels} for option, labels in step.inputs.items()}
        if step.teacher is not None:
            step = replace(step, teacher=replace(step.teacher, options=self._teacher(step.teacher, inputs.get("teacher", {}))))
        return StepContext(
            step=step,
            folder=folder,
            inputs=StageInputs(inputs, folder.own, self.plugins, step.seed),
            executor=self.executor,
            prompts=self.plan.prompts,
            ledger=self.workspace.ledger,
            session=self._desk(step),
            offline=self.offline,
            progress=self._progress(step.label),
        )

    def _teacher(self, bound: Bound[Teacher], inputs: Mapping[str, Artifact]) -> Teacher:
        """The teacher, with what flows in through its pipes; one for all stages of the run that ask it."""
        if bound.label not in self.teachers:
            teacher = bound.options.model_copy()
            teacher.prepare(inputs, self.plugins.model)
            self.teachers[bound.label] = teacher
        return self.teachers[bound.label]

    def _desk(self, step: PlannedStep) -> TeacherSession | None:
        """The desk of the step's teacher, the same for all stages of the run that ask it."""
        if step.teacher is None:
            return None
        return self.desks.setdefault(step.teacher.label, TeacherSession(step.teacher.options))

    def _progress(self, label: str) -> Callable[[float, float | None, str, str], None]:
        last = 0.0

        def tell(done: float, total: float | None, unit: str, note: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _TELL_EVERY or done == total:
                last = now
                self.observers.tell(Progress(label, done, total, unit, note))

        return tell

    def _outflow(self, step: PlannedStep, folder: StepFolder) -> Artifact:
        """What flows out of a step that is done."""
        output = step.output
        if issubclass(output, Folder):
            return output(folder.out)
        assert issubclass(output, Table)
        if isinstance(step.stage, Filter | CorpusFilter):
            inflow = output.concatenate(
                [flow for label in step.inputs["from"] if isinstance(flow := self.inputs[label], Table)]
            )
            return output(tuple(Part(part.data, folder.part(VERDICTS, number)) for number, part in enumerate(inflow.parts)))
        accepts = isinstance(step.stage, Generator) and (step.stage.accept or step.stage.target)
        return output(
            tuple(Part(file, folder.folder / VERDICTS / file.name if accepts else None) for file in folder.parts(DATA))
        )


def run_plan(
    plan: Plan,
    workspace: Workspace,
    plugins: Plugins,
    *,
    executor: str = "processes",
    listeners: list[tuple[str, Callable[..., None]]] | None = None,
    again: frozenset[str] = frozenset(),
    offline: bool = False,
) -> RunFolder:
    """Runs a plan: what is done is kept, what is not is worked, and the report is written.

    Args:
        executor: where parts are worked, a name that `open_executor` knows.
        listeners: observers besides the plugins', with names.
        again: labels of steps to be worked anew; replies still come from the ledger.
        offline: ask no teacher; what is not in the ledger fails.

    Raises:
        RecipeError: something the plan needs is missing (a key, a file), or `again` names no stage.
        TextbookgenError: a step could not be worked; the place says which.
    """
    _refuse(plan, again, offline)
    run = workspace.begin(plan.recipe.name, plan.recipe.text, _spelt_out(plan))
    observers = Observers([("journal", Journal(run.journal).observe), *(listeners or []), *plugins.observers()])
    observers.tell(RunStarted(run.name, plan.recipe.name, run.folder, tuple(step.label for step in plan.steps)))
    started, error = time.monotonic(), ""
    walking = Run(plan, workspace, plugins, plugins.executor(executor), observers, again, offline)
    try:
        walking.walk()
    except BaseException as problem:
        error = str(problem) or type(problem).__name__
        raise
    finally:
        walking.executor.close()
        summary = summarise(workspace, run.plan(), walking.records, time.monotonic() - started, error)
        write_report(run, summary)
        observers.tell(RunFinished(run.name, run.folder, summary["seconds"], error))
    return run


def _work(context: StepContext) -> StepRecord:
    match context.step.stage:
        case Source():
            return source.work(context)
        case Generator():
            return generate.work(context)
        case Transform():
            return transform.work(context)
        case Filter():
            return filter.work(context)
        case CorpusFilter():
            return filter.work_corpus(context)
        case Packer():
            return pack.work(context)
        case Trainer():
            return train.work(context)
        case Evaluator():
            return evaluate.work(context)
        case _:
            raise RunError(f"'{context.step.use}' is of no family")


def _refuse(plan: Plan, again: frozenset[str], offline: bool) -> None:
    diagnostics = [need for need in plan.missing_requirements if not (offline and "[teacher." in need.place)]
    for label in sorted(again - {step.label for step in plan.steps}):
        diagnostics.append(Diagnostic(f"--again {label}", "the recipe has no such stage"))
    if diagnostics:
        raise RecipeError(diagnostics)


def _at(error: TextbookgenError, place: str) -> TextbookgenError:
    """The error with the stage's place in front of its own."""
    error.diagnostics = tuple(
        replace(item, place=place, problem=f"{item.problem} ({item.place})" if item.place else item.problem)
        for item in error.diagnostics
    )
    return error


def _facts(step: PlannedStep) -> dict[str, Any]:
    return {"label": step.label, "use": step.use, "release": step.release, "fingerprint": step.fingerprint}


def _spelt_out(plan: Plan) -> dict[str, Any]:
    """The plan with every option, as plan.json keeps it."""
    return {
        "recipe": plan.recipe.name,
        "version": plan.recipe.version,
        "seed": plan.recipe.seed,
        "path": plan.recipe.path.name,
        "steps": [_spelt_step(step) for step in plan.steps],
    }


def _spelt_step(step: PlannedStep) -> dict[str, Any]:
    bound: Mapping[str, Any] = {"teacher": step.teacher, "sampler": step.sampler}
    tables = {
        name: item and {"label": item.label, "use": item.use, "options": item.options.model_dump(mode="json")}
        for name, item in bound.items()
    }
    if step.teacher:
        tables["teacher"]["stand_in"] = step.teacher.options.stand_in
    return {
        **_facts(step),
        "address": step.address,
        "output": step.output.kinds(),
        "inputs": {option: list(labels) for option, labels in step.inputs.items()},
        "options": step.stage.model_dump(mode="json", by_alias=True),
        "identity": fingerprinted_options(step.stage),
        **tables,
    }


def _forget_peak() -> None:
    """Lets the kernel count this process's peak memory anew, where it can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mib(stage: Stage) -> float:
    """The peak memory since `_forget_peak`, of this process or, for a trainer, of its largest process."""
    if isinstance(stage, Trainer):
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
