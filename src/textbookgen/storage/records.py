"""The JSON records of a run: the plan, the summary and the record of each step, as frozen classes.

`plan.json` holds a `RunPlan`, `run.json` a `RunSummary` and a step's `record.json` a `StepFile`; each file is read and written
here only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_text
from textbookgen.storage.manifest import FileEntry, output_digest

Record = TypeVar("Record")


@dataclass(frozen=True)
class TableEntry:
    """A teacher or sampler of a plan; `stand_in` marks a teacher that is a program in place of a language model."""

    label: str
    use: str
    options: Mapping[str, Any]
    stand_in: bool = False


@dataclass(frozen=True)
class GraderEntry:
    """A grader in the `accept` of a step: its number among the filters, its options, and the teacher that it asks."""

    filter: int
    use: str
    options: Mapping[str, Any]
    teacher: TableEntry


@dataclass(frozen=True)
class StepEntry:
    """A step of a plan: every option with its value, and the fingerprint that identifies its output.

    `output` names the output type, then the types that it derives from. `inputs` maps options to labels of earlier steps.
    """

    label: str
    use: str
    release: str
    fingerprint: str
    address: str
    output: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]
    options: Mapping[str, Any]
    teacher: TableEntry | None = None
    sampler: TableEntry | None = None
    graders: tuple[GraderEntry, ...] = ()
    asked: tuple[TableEntry, ...] = ()

    def teachers(self) -> list[TableEntry]:
        """Return the teachers that the step asks: its own, those of its graders, and those of an evaluation."""
        return [*([self.teacher] if self.teacher else []), *(grader.teacher for grader in self.graders), *self.asked]


@dataclass(frozen=True)
class RunPlan:
    """plan.json: what a run was asked to do."""

    recipe: str
    version: str
    seed: int
    path: str
    steps: tuple[StepEntry, ...]


@dataclass(frozen=True)
class StepFile:
    """record.json: what a finished step is, its figures, and the files that it vouches for.

    The file exists if and only if the step is complete: it is written last, and removed before anything else of the step.

    Attributes:
        label: the label of the stage.
        use: the name of its class.
        release: the plugin and the versions that made the step.
        fingerprint: what identifies the step's options and inputs.
        record: its counts and costs.
        files: an entry for each file of its output.
        inputs: the `digest` of each input by label, as it was when the step ran.
        source: a digest of the plugin's code; empty if it is unknown.
    """

    label: str
    use: str
    release: str
    fingerprint: str
    record: StepRecord
    files: tuple[FileEntry, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def digest(self) -> str:
        """A SHA-256 that identifies the output of the step."""
        return output_digest(self.files, self.inputs)


@dataclass(frozen=True)
class _StepName:
    """What identifies a step in a summary; `cached` if an earlier run completed it."""

    label: str
    use: str
    address: str
    cached: bool


@dataclass(frozen=True)
class StepSummary(StepRecord, _StepName):
    """The figures of one step of a run."""


@dataclass(frozen=True)
class Score:
    """One figure of an evaluation.

    Attributes:
        benchmark: what the model was scored on; None for figures that are not about a benchmark.
        metric: what was measured, such as `pass@1`, `acc` or `bits_per_byte`.
        subset: which items were counted: `all`, or those `similar` or `dissimilar` to the training data.
        value: the figure; None if it could not be measured.
        stderr: its standard error, where known.
        n: the number of items, where known.
    """

    benchmark: str | None
    metric: str
    subset: str
    value: float | None
    stderr: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class ModelSummary:
    """The figures of one trained model: those of its checkpoint, and every score of every evaluation, in the recipe's order."""

    address: str
    parameters: int | None = None
    tokens: int | None = None
    bits_per_byte: float | None = None
    tokens_per_second: float | None = None
    scores: tuple[Score, ...] = ()

    def score(self, benchmark: str | None, metric: str, subset: str = "all") -> Score:
        """Return a score; the first of several.

        Raises:
            KeyError: there is none.
        """
        for score in self.scores:
            if (score.benchmark, score.metric, score.subset) == (benchmark, metric, subset):
                return score
        raise KeyError((benchmark, metric, subset))


@dataclass(frozen=True)
class SubjectScores:
    """The scores of something that the run did not train: a teacher, published figures, or a corpus."""

    subject: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class RunSummary:
    """run.json: the figures of a run; `error` is empty if it finished.

    `others` has the scores of what the run did not train, `reports` the addresses of evaluation steps.
    """

    recipe: str
    seconds: float
    error: str
    steps: tuple[StepSummary, ...]
    models: Mapping[str, ModelSummary] = field(default_factory=dict)
    others: tuple[SubjectScores, ...] = ()
    reports: tuple[str, ...] = ()

    def step(self, label: str) -> StepSummary:
        """Return the figures of a step.

        Raises:
            KeyError: the run did not complete a step of this label.
        """
        for step in self.steps:
            if step.label == label:
                return step
        raise KeyError(label)

    @property
    def failures(self) -> int:
        """The number of documents that failed, over all steps."""
        return sum(step.failures for step in self.steps)


def read_record(path: Path, kind: type[Record], *, hint: str = "") -> Record:
    """Read one of the records above.

    Raises:
        WorkspaceError: the file is missing, is not JSON, or lacks a value.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except ValidationError as error:
        problem = f"incomplete or invalid: {'; '.join(_problems(error))}"
    raise WorkspaceError(problem, place=str(path), hint=hint)


def write_record(path: Path, record: object, *, sync: bool = False) -> None:
    """Write one of the records above, atomically; with `sync`, flush it to the device first."""
    write_text(path, record_json(record) + "\n", sync=sync)


def record_json(record: object) -> str:
    """Return a record as indented JSON."""
    return TypeAdapter(type(record)).dump_json(record, indent=1).decode()


def _problems(error: ValidationError) -> Iterator[str]:
    """Yield the first three problems, each with the keys that lead to it."""
    for problem in error.errors()[:3]:
        where = ".".join(map(str, problem["loc"]))
        yield f"{where}: {problem['msg']}" if where else problem["msg"]
