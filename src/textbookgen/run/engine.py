"""The engine: runs the steps of a plan in order, skips those that are complete, and notifies observers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from textbookgen.api.artifacts import Artifact, Folder, Part, Table
from textbookgen.api.errors import Diagnostic, RecipeError, RunError, TextbookgenError
from textbookgen.api.events import Progress, RunFinished, RunStarted, StageFinished, StageStarted, StepRecord
from textbookgen.api.executor import Executor
from textbookgen.api.full_disks import DiskFull
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.stage import CorpusFilter, Evaluator, Filter, Packer, Source, StageInputs, Trainer, Transform
from textbookgen.api.teacher import Teacher
from textbookgen.builtin.event_log import EventLog
from textbookgen.llm import TeacherSession
from textbookgen.recipe.plan import Component, GeneratorStep, GraderStep, Plan, PlannedStep
from textbookgen.recipe.plugin_boundary import plugin_boundary
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.recipe.plugin_source import source_digest
from textbookgen.run.integrity import StepIntegrity
from textbookgen.run.memory import peak_mib, reset_peak
from textbookgen.run.observers import Observer, Observers
from textbookgen.run.plan_record import record_plan
from textbookgen.run.report import write_report
from textbookgen.run.summary import summarize
from textbookgen.run.workers import evaluate, filter, generate, grade, pack, source, train, transform
from textbookgen.run.workers.context import StepContext
from textbookgen.storage.records import StepFile
from textbookgen.storage.workspace import DATA, VERDICTS, RunFolder, StepFolder, Workspace, part_number

log = logging.getLogger(__name__)


def run_plan(
    plan: Plan,
    workspace: Workspace,
    plugins: Plugins,
    *,
    executor: str = "processes",
    observers: Iterable[tuple[str, Observer]] = (),
    rerun: Iterable[str] = (),
    offline: bool = False,
) -> RunFolder:
    """Run a plan and write its report. Steps that are complete are skipped.

    Args:
        plan: what to run.
        workspace: where steps, replies and runs are stored.
        plugins: the plugins that the plan was made with.
        executor: the name of the executor that processes parts, such as `serial` or `processes`.
        observers: observers besides those of plugins, with names for log messages.
        rerun: labels of steps to run again even if they are complete; replies still come from the ledger.
        offline: send no request; a reply that is not in the ledger is an error.

    Raises:
        RecipeError: a requirement is missing (a key, a library, a file), or `rerun` names no stage.
        TextbookgenError: a step failed; its place names the stage.
    """
    rerun = frozenset(rerun)
    _check_requirements(plan, rerun, offline)
    chosen_executor = plugins.executor(executor)  # before the run's folder is created: the name may be wrong
    run = workspace.create_run(plan.recipe.name, plan.recipe.text, record_plan(plan))
    notifier = Observers([("event log", EventLog(run.event_log).observe), *observers, *plugins.observers()])
    notifier.notify(RunStarted(run.name, plan.recipe.name, run.folder, tuple(step.label for step in plan.steps)))
    started, error = time.monotonic(), None
    execution = _Execution(plan, workspace, plugins, chosen_executor, notifier, rerun, offline)
    with run.active():
        try:
            execution.run()
        except BaseException as problem:
            error = problem
            raise
        finally:
            execution.executor.close()
            _write_results(run, execution, time.monotonic() - started, error)
    return run


def _write_results(run: RunFolder, execution: _Execution, seconds: float, problem: BaseException | None) -> None:
    """Write the summary and the report of a run that has ended; after an error, a failure here must not hide that error."""
    error = "" if problem is None else str(problem) or type(problem).__name__
    try:
        summary = summarize(execution.workspace, run.plan(), execution.records, seconds, error)
        run.write_summary(summary)
        write_report(run, execution.workspace, summary)
    except Exception as second:
        if problem is None:
            raise
        if not (isinstance(problem, DiskFull) and isinstance(second, DiskFull)):  # the second would say the same again
            log.warning("the report of the failed run could not be written: %s: %s", type(second).__name__, second)
    execution.observers.notify(RunFinished(run.name, run.folder, seconds, error))


def _check_requirements(plan: Plan, rerun: frozenset[str], offline: bool) -> None:
    """Refuse to start a run that would fail later. Without requests, teachers need nothing."""
    diagnostics = [item for item in plan.missing_requirements if not (offline and "[teacher." in item.place)]
    for label in sorted(rerun - {step.label for step in plan.steps}):
        diagnostics.append(Diagnostic(f"--again {label}", "the recipe has no such stage"))
    if diagnostics:
        raise RecipeError(diagnostics)


@dataclass
class _Execution:
    """One run of a plan: what its steps share, and their outputs and records so far."""

    plan: Plan
    workspace: Workspace
    plugins: Plugins
    executor: Executor
    observers: Observers
    rerun: frozenset[str]
    offline: bool
    outputs: dict[str, Artifact] = field(default_factory=dict)
    sessions: dict[str, TeacherSession] = field(default_factory=dict)
    teachers: dict[str, Teacher] = field(default_factory=dict)
    records: dict[str, tuple[StepRecord, bool]] = field(default_factory=dict)  # by label; True: completed by an earlier run

    def __post_init__(self) -> None:
        self.integrity = StepIntegrity(self.observers.notify)

    def run(self) -> None:
        """Run every step in order."""
        for step in self.plan.steps:
            folder = self.workspace.step(step.address)
            with folder.lock(waiting=partial(self._report_waiting, step.label)):
                record, cached = self._complete(step, folder)
            self.records[step.label] = record, cached
            self.observers.notify(StageFinished(step.label, step.use, cached, record))
            self.outputs[step.label] = self._output(step, folder)

    def _complete(self, step: PlannedStep, folder: StepFolder) -> tuple[StepRecord, bool]:
        """Run the step unless it is complete; return its record, and whether it was complete before."""
        if step.label in self.rerun:
            folder.clear()
        reusable = self.integrity.reusable(step, folder)
        if reusable is not None:
            return reusable.record, True
        self.integrity.prepare_incomplete(step, folder)
        self.observers.notify(StageStarted(step.label, step.use, folder.folder))
        started = time.monotonic()
        reset_peak()
        try:
            inputs = [self.outputs[label] for labels in step.inputs.values() for label in labels]
            self.integrity.verify_inputs(step, inputs)
            with plugin_boundary(f"stage `{step.use}` ({step.release})", "run"):
                record = _run_step(self._context(step, folder))
        except TextbookgenError as error:
            raise _located(error, self.plan.recipe.place("stage", step.label)) from error
        peak = max(record.peak_mib, peak_mib(of_children=isinstance(step.stage, Trainer)))
        record = replace(record, seconds=round(time.monotonic() - started, 3), peak_mib=round(peak, 1))
        inputs_digests = self.integrity.inputs(step)
        file = StepFile(
            step.label,
            step.use,
            step.release,
            step.fingerprint,
            record,
            inputs=inputs_digests,
            source=source_digest(type(step.stage)),
        )
        self.integrity.completed(folder.finish(file), folder)
        return record, False

    def _report_waiting(self, label: str) -> None:
        self.observers.notify(Progress(label, 0, None, "steps", "waiting for another run that is processing this step"))

    def _context(self, step: PlannedStep, folder: StepFolder) -> StepContext:
        inputs = {option: {label: self.outputs[label] for label in labels} for option, labels in step.inputs.items()}
        session: TeacherSession | None = None
        if step.teacher is not None:
            teacher = self._prepared_teacher(step.teacher, inputs.get("teacher", {}))
            session = self.sessions.setdefault(step.teacher.label, TeacherSession(teacher))
            step = replace(step, teacher=replace(step.teacher, options=teacher))
        filter_sessions: dict[int, TeacherSession] = {}
        for number, filter_ in enumerate(step.filters):
            if filter_.teacher is not None:
                teacher = self._prepared_teacher(filter_.teacher, inputs.get(f"accept.{number}", {}))
                filter_sessions[number] = self.sessions.setdefault(filter_.teacher.label, TeacherSession(teacher))
        asked_sessions: dict[str, TeacherSession] = {}
        for component in step.asked:
            teacher = self._prepared_teacher(component, inputs.get(f"teacher.{component.label}", {}))
            asked_sessions[component.label] = self.sessions.setdefault(component.label, TeacherSession(teacher))
        return StepContext(
            step=step,
            folder=folder,
            inputs=StageInputs(inputs, folder.own, self.plugins, step.seed),
            executor=self.executor,
            prompts=self.plan.prompts,
            ledger=self.workspace.ledger,
            session=session,
            offline=self.offline,
            notify=self.observers.notify,
            filter_sessions=filter_sessions,
            asked_sessions=asked_sessions,
        )

    def _prepared_teacher(self, component: Component[Teacher], inputs: Mapping[str, Artifact]) -> Teacher:
        """Return the teacher after `prepare`; all stages of the run that use it share one instance."""
        if component.label not in self.teachers:
            teacher = component.options.model_copy()
            teacher.prepare(inputs, self.plugins.model)
            self.teachers[component.label] = teacher
        return self.teachers[component.label]

    def _output(self, step: PlannedStep, folder: StepFolder) -> Artifact:
        """Return the output of a complete step. A filter has the parts of its inputs, with its own verdicts."""
        if issubclass(step.output, Folder):
            return step.output(folder.out)
        if not issubclass(step.output, Table):
            raise RunError(f"the output type {step.output.name} is neither a table nor a folder")
        if isinstance(step.stage, Filter | CorpusFilter):
            tables = [table for label in step.inputs["from"] if isinstance(table := self.outputs[label], Table)]
            parts = step.output.concatenate(tables).parts
            return step.output(tuple(Part(part.data, folder.part(VERDICTS, at)) for at, part in enumerate(parts)))
        has_verdicts = isinstance(step, GeneratorStep) and step.rejects
        return step.output(
            tuple(Part(file, folder.part(VERDICTS, part_number(file)) if has_verdicts else None) for file in folder.parts(DATA))
        )


def _run_step(context: StepContext) -> StepRecord:
    """Hand the step to the worker of its family."""
    match context.step.stage:
        case Source() as stage:
            return source.run_step(context, stage)
        case Generator() if isinstance(context.step, GeneratorStep):
            return generate.run_step(context, context.step)
        case Grader() if isinstance(context.step, GraderStep):
            return grade.run_step(context, context.step)
        case Transform() as stage:
            return transform.run_step(context, stage)
        case Filter() as stage:
            return filter.run_step(context, stage)
        case CorpusFilter() as stage:
            return filter.run_corpus_step(context, stage)
        case Packer() as stage:
            return pack.run_step(context, stage)
        case Trainer() as stage:
            return train.run_step(context, stage)
        case Evaluator() as stage:
            return evaluate.run_step(context, stage)
        case _:
            raise RunError(
                f"'{context.step.use}' belongs to no stage family",
                hint="derive the class from Source, Generator, Transform, Filter, CorpusFilter, Packer, Trainer or Evaluator",
            )


def _located(error: TextbookgenError, place: str) -> TextbookgenError:
    """Return the error with the stage as its place; the place it had goes into the message."""
    error.diagnostics = tuple(
        replace(item, place=place, problem=f"{item.problem} ({item.place})" if item.place else item.problem)
        for item in error.diagnostics
    )
    return error
