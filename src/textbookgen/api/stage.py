"""Stages: the steps of a recipe, in eight families; `textbookgen.api.generator` has the family of generators.

A stage is a frozen pydantic class. Its fields are its options, each with a description; one method does its work. A plugin
derives from a family, sets `name`, writes that method, and returns the class from the hook `stages`. Files, resuming,
concurrency, verdicts, counting and reporting are the engine's task.

| family | method | output |
|---|---|---|
| `Source` | `read` yields frames of documents | Documents |
| `Generator` | `parse` turns a teacher's reply into documents | Documents, Chats or Pairs |
| `Transform` | `transform` changes a part, or `stream` the whole input | the type of the input |
| `Filter` | `decide` returns a verdict per document | the type of the input |
| `CorpusFilter` | `sketch` per part, then `decide` over all sketches | the type of the input |
| `Packer` | `pack` writes a folder | Shards or another folder |
| `Trainer` | `command` returns the command line of a training process | Checkpoint |
| `Evaluator` | `evaluate` returns metrics | Report |

**Determinism.** The output of a stage must depend only on its options, its inputs, `StageInputs.seed` and, for a source, on
what `digest` identifies. Parts are processed in any order, in any process and again after a crash, so no method may depend on
another part, on time or on global random state. If output changes for the same options, raise `version`.

**Processes.** Filters, corpus filters and transforms are pickled and run in several processes, so options must pickle. Keep
what `prepare` loads in pydantic private attributes: a stage is pickled before `prepare`, which runs again in each process. All
other families run in the process of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, overload

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Chats, Checkpoint, Documents, Pairs, Report, Shards, Table, TrainedTokenizer
from textbookgen.api.benchmark import Benchmark
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.model import Model
from textbookgen.api.teacher_client import TeacherClient
from textbookgen.api.tokenizer import Tokenizer

ArtifactT = TypeVar("ArtifactT", bound=Artifact)


class Resolver(Protocol):
    """Opens tokenizers, benchmarks, models and filters of any plugin by name."""

    def tokenizer(self, name: str) -> Tokenizer:
        """Return the tokenizer of this name, such as `hf:tokenizer.json`.

        Raises:
            PluginError: no plugin provides it.
        """
        ...

    def benchmark(self, name: str) -> Benchmark:
        """Return the benchmark of this name, such as `humaneval`.

        Raises:
            PluginError: no plugin provides it.
        """
        ...

    def model(self, checkpoint: Path) -> Model:
        """Return the model in a checkpoint's folder; close it after use.

        Raises:
            PluginError: no plugin can open it.
        """
        ...

    def filter(self, use: str | Mapping[str, Any]) -> Filter:
        """Return a filter that is not yet prepared, by name or as a table of options with `use`.

        Raises:
            PluginError: no plugin provides it, or it is not a filter.
        """
        ...


def _no_templates(template: str, variables: Mapping[str, Any]) -> str:
    """Refuse to render: the inputs were not made by a run."""
    raise RunError(f"there are no templates here to render '{template}' from", hint="derive the stage from TeacherEvaluator")


@dataclass(frozen=True)
class StageInputs:
    """What a step receives: the outputs of earlier stages, a folder, and a resolver.

    `inputs["from"]` is the input of the option `from`; several tables become one, in the order of the recipe.

    Attributes:
        inputs: the artifacts by option (as recipes call it) and by label.
        folder: the step's own folder for what `prepare` computes. It is kept until the step is finished, and may not exist.
        resolver: opens tokenizers, benchmarks, models and filters by name.
        seed: the `seed` of the recipe.
        teachers: a client for each teacher that the options of a `TeacherEvaluator` name, by label.
        render: the text of a prompt template with these variables, for a `TeacherEvaluator`.
    """

    inputs: Mapping[str, Mapping[str, Artifact]]
    folder: Path
    resolver: Resolver
    seed: int = 0
    teachers: Mapping[str, TeacherClient] = field(default_factory=dict)
    render: Callable[[str, Mapping[str, Any]], str] = _no_templates

    def __getitem__(self, option: str) -> Any:
        inputs = list(self.inputs[option].values())
        if len(inputs) == 1:
            return inputs[0]
        tables = [artifact for artifact in inputs if isinstance(artifact, Table)]
        if not tables or len(tables) != len(inputs):
            raise RunError(f"`{option}` takes a single stage here, but names {len(inputs)}", place=option)
        return type(tables[0]).concatenate(tables)

    @overload
    def by_label(self, option: str) -> Mapping[str, Artifact]: ...
    @overload
    def by_label(self, option: str, kind: type[ArtifactT]) -> Mapping[str, ArtifactT]: ...
    def by_label(self, option: str, kind: type[Artifact] = Artifact) -> Mapping[str, Artifact]:
        """Return the inputs of an option by the label of their stages, in the order of the recipe; empty if it is unset.

        Args:
            option: the option, as recipes call it.
            kind: the artifact type that all of them must have.

        Raises:
            RunError: an input is of another type.
        """
        artifacts = self.inputs.get(option, {})
        for label, artifact in artifacts.items():
            if not isinstance(artifact, kind):
                raise RunError(f"'{label}' is {artifact.name}, but `{option}` requires {kind.name}", place=option)
        return artifacts

    def tokenizer(self, option: str, name: str) -> Tokenizer:
        """Return the tokenizer that an option names: of an earlier stage that trained one, or any that a plugin provides.

        Args:
            option: the option, annotated with `Input(TrainedTokenizer, or_name=True)`.
            name: its value.

        Raises:
            PluginError: no plugin provides it.
        """
        for artifact in self.by_label(option).values():
            if isinstance(artifact, TrainedTokenizer):
                return self.resolver.tokenizer(f"hf:{artifact.file}")
        return self.resolver.tokenizer(name)


@dataclass(frozen=True)
class Estimate:
    """What a step is expected to output and to spend, for `recipe check`; None means unknown.

    Attributes:
        documents: rows of the output.
        tokens: tokens of text in the output; tokens trained on for a Checkpoint.
        requests: requests to the teacher.
        tokens_in: prompt tokens of all requests.
        tokens_out: reply tokens of all requests.
        disk_bytes: size on disk.
        gpu_hours: GPU time of training.
        parameters: parameters of the model, for a Checkpoint.
        synthetic: whether a teacher wrote the documents.
    """

    documents: float | None = None
    tokens: float | None = None
    requests: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    disk_bytes: float | None = None
    gpu_hours: float = 0.0
    parameters: float | None = None
    synthetic: bool = False


class Stage(BaseModel):
    """The base of all families; derive from a family, not from this class.

    Attributes:
        name: a recipe uses the stage as `PLUGIN/NAME`.
        output: the artifact type of the output; None means the type of the input `from`.
        version: part of the fingerprint; raise it when the same options give another output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: ClassVar[str]
    output: ClassVar[type[Artifact] | None] = None
    version: ClassVar[int] = 1

    def check(self) -> Iterable[Diagnostic]:
        """Report what would make the step fail, without running it.

        Returns:
            A Diagnostic for each mistake in the recipe, and a MissingRequirement for what this machine lacks (a key, a
            library, a file). Their `place` is the name of an option.
        """
        return ()

    def digest(self) -> str:
        """Identify what the output depends on besides options and inputs, as it is now; part of the fingerprint if not empty.

        For a source these are the files or services that it reads, such as `api.hashing.content_digest` of each file; for
        another stage, for example, the version of a library whose figures it reports. Files that an option marked
        `Opens("benchmark")` names (`NAME@PATH`) are fingerprinted by their content anyway.
        """
        return ""

    def output_type(self, inputs: Sequence[type[Artifact]]) -> type[Artifact]:
        """Return the artifact type of the output, given the types of the inputs in `from`."""
        return self.output or inputs[0]

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Return the options for a preview of about `limit` documents (`recipe run --limit`).

        Args:
            options: the options of the recipe, before validation.
            limit: the number of documents.
        """
        return options

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the output and the cost of the step; None leaves it to the default of the family.

        Args:
            inputs: the estimates of the inputs, by option (`from`, a sum) and by option and label (`from.web`).
        """
        return None

    def warnings(self, inputs: Mapping[str, Estimate]) -> Iterable[str]:
        """Return what a user should know before the run, one sentence each; it does not prevent the run.

        Args:
            inputs: as for `estimate`.
        """
        return ()


class _PreparedStage(Stage):
    """A stage whose parts are processed independently, in several processes."""

    def prepare(self, inputs: StageInputs) -> None:
        """Load what `transform`, `decide` or `sketch` need besides the options: other inputs, benchmarks, models.

        Called in the process of the run before the first part, and then once in each process that works on parts. Store
        expensive results in `inputs.folder` the first time and read them from there afterwards; keep what parts need in
        pydantic private attributes.
        """


class Source(Stage):
    """Reads documents from outside the recipe."""

    output: ClassVar[type[Artifact] | None] = Documents

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield frames of hundreds to thousands of rows, always the same rows in the same order.

        Yields:
            Frames with `id` (String, unique; see `textbookgen.document_id`), `text` (String), and optionally `kind` (String)
            and own columns named `PLUGIN.NAME`. The engine adds the other standard columns (see `api.artifacts`).
        """
        raise NotImplementedError

    def passed_over(self) -> Mapping[str, int]:
        """Return how many documents `read` passed over, by reason, such as those without text; called after `read`."""
        return {}


class Transform(_PreparedStage):
    """Changes documents: part by part with `transform`, or all of them in order with `stream`."""

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose documents are changed"
    )

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the changed rows of one part.

        Args:
            docs: the rows, with all standard columns.

        Returns:
            Rows with at least `id` and the content columns. A row that becomes another document gets a new `id` and the ids
            of its originals in `parents`.
        """
        raise NotImplementedError

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """Yield all output rows, for a transform that needs the whole input, or its inputs by label.

        Override it instead of `transform`. It runs once, in the process of the run, without `prepare`, and from the start
        after a crash.
        """
        raise NotImplementedError

    def notes(self) -> Iterable[str]:
        """Return sentences for the report, after `stream`."""
        return ()


class Filter(_PreparedStage):
    """Decides for each document whether it is kept. A filter writes verdicts and never changes documents.

    A filter can also be used in a generator's `accept`, where `inputs` is empty. A filter that asks a teacher derives from
    `textbookgen.api.grader.Grader`.
    """

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        (), alias="from", description="stages above whose documents are filtered"
    )

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the verdicts of some documents; each must depend on its document only.

        Args:
            docs: any number of rows, with all standard columns.

        Returns:
            One row per document, in any order: `id` (String), `keep` (Boolean, no nulls), `reason` (String: short, the same
            for similar cases, since reports count by it; null or empty if kept), and optionally `score` (Float64), `detail`
            (String: the evidence) and own columns.
        """
        raise NotImplementedError

    def add_accepted(self, accepted: pl.DataFrame) -> None:
        """In a generator's `accept`: receive the documents that were accepted, after each part and in order.

        For filters that compare new documents with accepted ones, such as `dedup/online`. After a crash it is called again
        with all parts.
        """


class CorpusFilter(_PreparedStage):
    """Decides about each document in view of the whole corpus: sketches part by part, then verdicts over all sketches."""

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose documents are filtered"
    )

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return what `decide` needs of each document: one row per document in their order, `id` and any columns."""
        raise NotImplementedError

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return the verdicts of all documents.

        Args:
            sketches: the sketches of the corpus, in its order.
            corpus: the documents, with all standard columns.

        Returns:
            One row per document in any order, with the columns of `Filter.decide`.
        """
        raise NotImplementedError


class Packer(Stage):
    """Writes a corpus as a folder, in the form that a trainer or another program reads."""

    output: ClassVar[type[Artifact] | None] = Shards

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Write to the empty folder `out`, and its card last: `manifest.json` for Shards (see `textbookgen.api.cards`)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Job:
    """A training job, described by a file so that any program can run it.

    job.json has the keys `use` (String), `options` (every option by field name), `inputs` (by option, a list of objects with
    `label`, `artifact` and `path`), `seed` and `folder`. `textbookgen.training.job.JobFile` reads it.

    The trainer appends one JSON object per step to `folder/metrics.jsonl` (`step`, `steps`, `tokens`, `loss` in nats per token,
    `seconds`, and any others) and writes the card `folder/checkpoint.json` last (see `textbookgen.api.cards`). A job that was
    killed is started again with the same folder, to resume from what it finds there.

    Attributes:
        path: job.json.
        folder: the folder of the checkpoint.
    """

    path: Path
    folder: Path


class Trainer(Stage):
    """Trains a model in a separate process."""

    output: ClassVar[type[Artifact] | None] = Checkpoint

    def command(self, job: Job) -> list[str]:
        """Return the command line that runs the job.

        Exit code 0 means success. Otherwise the end of its output, standard error included, becomes the error message. The
        process receives SIGTERM when the run is interrupted, and has 20 seconds to save a checkpoint.
        """
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return environment variables for the command, in addition to those of the run."""
        return {}


class Evaluator(Stage):
    """Measures checkpoints or corpora and reports metrics."""

    output: ClassVar[type[Artifact] | None] = Report

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the metrics; further files in the empty folder `out` become part of the report.

        Args:
            inputs: the inputs by option.
            out: a folder for tables (`NAME.parquet`), plots (`NAME.svg`) and sections of the report (`NAME.md`).

        Returns:
            Rows with `subject` (String: usually a label), `metric` (String), `value` (Float64), and optionally `benchmark`,
            `subset`, `stderr`, `n` and own columns; `textbookgen.api.rows.REPORT_SCHEMA` says what they are, and
            `report_table` makes such a table of rows.
        """
        raise NotImplementedError


def family(stage: type[Stage]) -> type[Stage]:
    """Return the family that a stage class belongs to: the closest of its bases that is part of the API."""
    return next(kind for kind in stage.__mro__ if issubclass(kind, Stage) and kind.__module__.startswith("textbookgen.api."))
