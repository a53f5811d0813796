"""What a stage is: one frozen class whose fields are its options and whose one method is its work.

There are eight families. A plugin's stage derives from one of them and writes its one method; everything around it
(files, resume, concurrency, counting, dropping, telling) is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Filters, Input, Label, Labels, Runtime, Template
from textbookgen.api.artifacts import Artifact, Chats, Checkpoint, Documents, Pairs, Report, Shards, Table, TrainedTokenizer
from textbookgen.api.benchmark import Benchmark
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.message import Message
from textbookgen.api.model import Model
from textbookgen.api.sampler import Target
from textbookgen.api.teacher import Reply
from textbookgen.api.tokenizer import Tokenizer

Draw = Mapping[str, Any]


class Resolver(Protocol):
    """What a stage can ask the house to open, whoever brought it. Each raises PluginError if nobody knows the name."""

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokenizer of this name."""
        ...

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark of this name."""
        ...

    def model(self, checkpoint: Path) -> Model:
        """The model in this folder."""
        ...

    def filter(self, use: str | Mapping[str, Any]) -> Filter:
        """The judge of this name (or table of options with `use`), ready to judge after `prepare`."""
        ...


@dataclass(frozen=True)
class StageInputs:
    """What a step has to work with: what flows in, a folder of its own, and the doors.

    `inputs["from"]` is what flows in through the option `from`; several tables come as one, in the order named.
    `given.by_label("from")` keeps them apart, by label. `folder` is the step's own place for what it learns in `prepare`;
    it stays between runs until the step is done.
    """

    inputs: Mapping[str, Mapping[str, Artifact]]
    folder: Path
    resolver: Resolver
    seed: int = 0

    def __getitem__(self, option: str) -> Any:
        inputs = list(self.inputs[option].values())
        if len(inputs) == 1:
            return inputs[0]
        tables = [flow for flow in inputs if isinstance(flow, Table)]
        if not tables or len(tables) != len(inputs):
            raise RunError(f"`{option}` takes one thing here, and was given {len(inputs)}")
        return type(tables[0]).concatenate(tables)

    def by_label(self, option: str) -> Mapping[str, Artifact]:
        """What flows in through this option, by label."""
        return self.inputs.get(option, {})

    def tokenizer(self, option: str, name: str) -> Tokenizer:
        """The tokenizer that an option names: a stage above that trained one, or a name to open."""
        for flow in self.by_label(option).values():
            if isinstance(flow, TrainedTokenizer):
                return self.resolver.tokenizer(f"hf:{flow.file}")
        return self.resolver.tokenizer(name)


@dataclass(frozen=True)
class Estimate:
    """How much flows, or is asked and spent, as `recipe check` foresees it; None is not known."""

    documents: float | None = None
    tokens: float | None = None
    requests: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    disk_bytes: float | None = None
    gpu_hours: float = 0.0
    parameters: float | None = None  # of a model
    synthetic: bool = False  # written by a teacher


class Stage(BaseModel):
    """One step of a recipe: its fields are its options, its method is its work."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: ClassVar[str]  # a recipe writes `use = "PLUGIN/NAME"`
    output: ClassVar[type[Artifact] | None] = None  # None: the same as flows in through `from`
    version: ClassVar[int] = 1  # raise it when the same options would give other output

    def check(self) -> Iterable[Diagnostic]:
        """What would keep the step from being worked, found without working it; places are option names."""
        return ()

    def output_type(self, inputs: Sequence[type[Artifact]]) -> type[Artifact]:
        """What it gives where these flow in through `from`."""
        return self.output or inputs[0]

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """The options for `--limit`, where a taste of some `limit` documents is wanted."""
        return options

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """How much will flow out and be spent; None for the family's own guess.

        `flows` has what flows in by option (`from`), and by option and label (`from.web`).
        """
        return None

    def warnings(self, inputs: Mapping[str, Estimate]) -> Iterable[str]:
        """What a user should know before running, though it keeps nothing from being run; `flows` as for `foresee`."""
        return ()


class _Prepared(Stage):
    """A stage whose parts are worked apart from each other, in several processes if there are."""

    def prepare(self, inputs: StageInputs) -> None:
        """Called before the first part, once in the run's own process and once in each process that works parts.

        The place to learn from other pipes or to open a benchmark. What is costly is written to `inputs.folder` the
        first time and read from there afterwards; what parts need is kept in pydantic private attributes.
        """


class Source(Stage):
    """Reads documents from outside."""

    output: ClassVar[type[Artifact] | None] = Documents

    def read(self) -> Iterator[pl.DataFrame]:
        """Frames of some hundreds or thousands of rows: `id` (see `artifacts.document_id`), `text`, and if wanted `kind`
        and own columns `PLUGIN.NAME`; always in the same order."""
        raise NotImplementedError

    def digest(self) -> str:
        """Tells one state of what is read from another: files and their contents, or names, sizes and times."""
        return ""


class Ask(Protocol):
    """How a generator asks: awaited any number of times; an answer that was given before comes from the ledger."""

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Draw | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The reply to a prompt (a text, or a conversation).

        `draw` and `task` are this document's unless given. Raises Refused if the teacher will not answer.
        """
        ...

    def render(self, template: str, variables: Draw) -> str:
        """The text of a prompt template with these variables; one that the template needs and that is missing is an error."""
        ...


class Generator(Stage):
    """Writes documents by asking a teacher: a prompt, a sampler, and a reader of replies.

    With a `from`, each of its documents (or `sample` of them) is asked about; without, `count` documents are written.
    """

    output: ClassVar[type[Artifact] | None] = Documents
    task: ClassVar[str] = ""  # what is asked, for teachers that are programs
    kind: ClassVar[str] = "document"  # of the documents written

    teacher: Annotated[str, Label("teacher")] = Field(description="label of the teacher that is asked")
    prompt: Annotated[str, Template] = Field(description="name of the prompt template")
    sampler: Annotated[str | None, Label("sampler")] = Field(
        None, description="label of the sampler that draws what each document is about"
    )
    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        (), alias="from", description="stages above whose documents are asked about"
    )
    count: int | None = Field(None, gt=0, description="how many documents are to be accepted; without `from` it must be given")
    sample: int | None = Field(None, gt=0, description="with `from`: only so many of its documents, drawn evenly")
    seed: int = Field(0, description="another seed draws other documents from the same sampler")
    accept: Annotated[tuple[str | dict[str, Any], ...], Filters] = Field(
        (), description="judges that a document must please to count"
    )
    target: Target | None = Field(
        None,
        description="what the accepted documents are to be like together, such as { openings = 0.02, coverage = 0.95 }: no "
        "opening (five words) in more than 2 % of them, and 95 % of the sampler's combinations; the report says if it was "
        "reached",
    )
    max_draws: int | None = Field(
        None, gt=0, description="stop after so many draws even if `count` was not reached; 20 times `count` unless given"
    )
    truncated_replies: Literal["fail", "keep"] = Field(
        "fail",
        description="a reply cut at the teacher's `max_tokens` fails its document (the ledger has it), or is kept: "
        "then the column `truncated` says so",
    )
    max_failures: Annotated[float, Runtime] = Field(
        0.1, ge=0, le=1, description="share of documents that may fail before the step stops"
    )
    reply_tokens: Annotated[int, Runtime] = Field(
        500, gt=0, description="tokens a reply has, as `recipe check` should expect them"
    )
    max_cost_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="US dollars this step may spend; never passed"
    )

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Fewer documents, and no target: a handful reaches none."""
        fewer = {key: min(options[key], limit) for key in ("count", "sample") if isinstance(options.get(key), int)}
        return {key: value for key, value in options.items() if key != "target"} | fewer

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The documents in one reply: rows with `text` (or `messages`, or `prompt`, `chosen` and `rejected`), and if wanted
        `kind` and own columns `PLUGIN.NAME`. With a `from`, `draw["document"]` is the source row.

        Raises:
            UnusableReply: the reply holds no document.
        """
        raise NotImplementedError

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The documents for one draw. Override it for work of several turns."""
        return self.parse(draw, await ask(ask.render(self.prompt, draw)))


class Transform(_Prepared):
    """Changes documents, a part at a time."""

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose documents flow in"
    )

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The changed rows. A row that is another document gets an `id` of its own and names its `parents`."""
        raise NotImplementedError

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """All rows in order, for a transform that must see what flows in as a whole or keep its inputs apart.

        Write it instead of `change`. It is worked once, and from the start after a kill; `given.by_label("from")` has the inputs
        by label.
        """
        raise NotImplementedError

    def notes(self) -> Iterable[str]:
        """After `stream`: sentences for the report."""
        return ()


class Filter(_Prepared):
    """Says of each document whether it flows on. It never touches a document: it writes verdicts."""

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        (), alias="from", description="stages above whose documents are judged"
    )

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, one row a document: `id`, `keep` (Boolean), `reason` (String, short and countable; null or empty when
        kept), if wanted `score` (Float64), `detail` (String: the evidence) and own columns."""
        raise NotImplementedError

    def add_accepted(self, accepted: pl.DataFrame) -> None:
        """Where it stands in a generator's `accept`: told of the documents that counted, after each part and in order.

        For judges that compare what is drawn with what was accepted before it. After a kill all of them are told again.
        """


class CorpusFilter(_Prepared):
    """Judges each document in the light of all: sketches part by part, then verdicts once over all sketches."""

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose documents are judged"
    )

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """What is needed of each document: rows with `id` and whatever `judge` looks at."""
        raise NotImplementedError

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Verdicts (as a Judge's), one row a document in any order; `sketches` is in the order of the corpus."""
        raise NotImplementedError


class Packer(Stage):
    """Writes a corpus in the form a trainer, or the world outside, reads."""

    output: ClassVar[type[Artifact] | None] = Shards

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Writes to the folder `out`, last of all the card of what it gives (`manifest.json` for Shards)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Job:
    """A training job: `path` is job.json, which says it all; `folder` is where the trainer works and finds itself again.

    job.json: `use`, `options` (every option, by field name), `pipes` (option to list of {label, artifact, path}), `seed`,
    `folder`. The trainer appends to `folder/metrics.jsonl` one JSON object a step (`step`, `steps`, `tokens`, `loss`,
    `seconds`, and whatever else it likes) and writes `folder/checkpoint.json` last. A job that was killed is started
    again with the same folder.
    """

    path: Path
    folder: Path


class Trainer(Stage):
    """Makes a checkpoint, in a process of the trainer's own."""

    output: ClassVar[type[Artifact] | None] = Checkpoint

    def command(self, job: Job) -> list[str]:
        """The command line that does the job."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Environment variables the command needs besides the run's own."""
        return {}


class Evaluator(Stage):
    """Measures, and reports."""

    output: ClassVar[type[Artifact] | None] = Report

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures: rows with `subject` (String: a label), `metric` (String), `value` (Float64), and if wanted `stderr`
        (Float64), `n` (Int64) and own columns. Further tables (`NAME.parquet`), plots (`NAME.svg`) and passages for the
        report (`NAME.md`) may be written to `out`."""
        raise NotImplementedError


#: The families, in the order the engine matches them.
FAMILIES: tuple[type[Stage], ...] = (Source, Generator, Transform, Filter, CorpusFilter, Packer, Trainer, Evaluator)


def family(stage: type[Stage]) -> type[Stage]:
    """The family a stage belongs to."""
    return next(each for each in FAMILIES if issubclass(stage, each))
