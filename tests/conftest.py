"""Shared fixtures: a small plugin with a stage of each family, and functions that plan and run the text of a recipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import Artifact, Checkpoint, Documents, Shards
from textbookgen.api.errors import UnusableReply
from textbookgen.api.files import write_frame
from textbookgen.api.generator import Draw, Generator
from textbookgen.api.hashing import document_id
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.rows import ITEM_SCORE_SCHEMA, ITEM_SCORES
from textbookgen.api.stage import CorpusFilter, Evaluator, Filter, Job, Packer, Source, Stage, StageInputs, Trainer, Transform
from textbookgen.api.teacher import Reply
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import RunFolder, Workspace

# No limit of time: a test must not fail because the machine is busy.
settings.register_profile("textbookgen", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("textbookgen")


class Numbers(Source):
    """Reads sentences about numbers."""

    name: ClassVar[str] = "numbers"
    count: int = Field(10, description="number of documents")

    def read(self) -> Iterator[pl.DataFrame]:
        for at in range(0, self.count, 7):
            numbers = range(at, min(at + 7, self.count))
            texts = [f"number {n} is {'even' if n % 2 == 0 else 'odd'}" for n in numbers]
            yield pl.DataFrame({"id": [document_id("numbers", n) for n in numbers], "text": texts})


class Echo(Generator):
    """Writes the teacher's replies."""

    name: ClassVar[str] = "echo"
    task: ClassVar[str] = "echo"
    kind: ClassVar[str] = "echo"
    prompt: str = Field("echo.md.j2", description="the prompt")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        if reply.finish == "length":
            raise UnusableReply("the reply was truncated")
        return [{"text": reply.text, "toy.words": len(reply.text.split())}]


class Shout(Transform):
    """Converts texts to upper case."""

    name: ClassVar[str] = "shout"
    suffix: str = Field("!", description="text to append")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.with_columns(pl.col("text").str.to_uppercase() + self.suffix)


class Contains(Filter):
    """Keeps texts that contain a word."""

    name: ClassVar[str] = "contains"
    word: str = Field("e", description="the word")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        keep = pl.col("text").str.contains(self.word, literal=True)
        return docs.select("id", keep=keep, reason=pl.when(~keep).then(pl.lit(f"no {self.word}")))


class Shorter(CorpusFilter):
    """Keeps the shorter half of the corpus."""

    name: ClassVar[str] = "shorter"

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.select("id", size=pl.col("text").str.len_bytes())

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        keep = pl.col("size").rank("ordinal") <= pl.len() / 2
        return sketches.select("id", keep=keep, reason=pl.when(~keep).then(pl.lit("longer"))).collect()


class JoinedShards(Shards):
    """The toy's own type of shards."""

    name: ClassVar[str] = "JoinedShards"


class HashCheckpoint(Checkpoint):
    """The toy's own type of checkpoint."""

    name: ClassVar[str] = "HashCheckpoint"


class Join(Packer):
    """Joins texts in one file."""

    name: ClassVar[str] = "join"
    output: ClassVar[type[Artifact] | None] = JoinedShards
    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose texts are joined")

    def pack(self, inputs: StageInputs, out: Path) -> None:
        texts = [text for frame in inputs["from"].frames(["text"]) for text in frame["text"]]
        (out / "all.txt").write_text("\n".join(texts), encoding="utf-8")
        (out / "manifest.json").write_text(
            json.dumps({"format": "text", "documents": len(texts), "tokens": 0}), encoding="utf-8"
        )


TRAINER = """
import hashlib, json, sys, time
job = json.load(open(sys.argv[1]))
folder = job["folder"]
if job["options"]["fails"]:
    sys.exit("shards.txt\\n  the loss is not a number")
text = open(job["inputs"]["shards"][0]["path"] + "/all.txt").read()
with open(folder + "/metrics.jsonl", "w") as metrics:
    for step in range(1, 4):
        metrics.write(json.dumps({"step": step, "steps": 3, "tokens": step * 10, "loss": 3 / step, "seconds": 0.1}) + "\\n")
card = {"format": "hash", "parameters": 1, "tokens": 30, "bits_per_byte": 1.5, "hash": hashlib.sha256(text.encode()).hexdigest()}
json.dump(card, open(folder + "/checkpoint.json", "w"))
"""


class Hash(Trainer):
    """Writes a checkpoint with a hash of the shards."""

    name: ClassVar[str] = "hash"
    output: ClassVar[type[Artifact] | None] = HashCheckpoint
    shards: Annotated[str, Input(JoinedShards)] = Field(description="stage above whose shards are hashed")
    fails: bool = Field(False, description="exit with an error")

    def command(self, job: Job) -> list[str]:
        return [sys.executable, "-c", TRAINER, str(job.path)]


class Digits(Evaluator):
    """Counts the digits of a checkpoint's hash; each character is an item."""

    name: ClassVar[str] = "digits"
    inputs: Annotated[Labels, Input(Checkpoint)] = Field(
        alias="from", description="stages above whose checkpoints are evaluated"
    )

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        items = [
            {
                "subject": label,
                "benchmark": "digits",
                "item": str(place),
                "metric": "pass@1",
                "value": float(character.isdigit()),
            }
            for label, checkpoint in inputs.by_label("from", Checkpoint).items()
            for place, character in enumerate(checkpoint.card()["hash"])
        ]
        scores = pl.DataFrame(items, schema=ITEM_SCORE_SCHEMA)
        write_frame(out / ITEM_SCORES, scores)
        return scores.group_by("subject", "benchmark", "metric", maintain_order=True).agg(
            pl.col("value").mean(), stderr=pl.lit(0.0), n=pl.len().cast(pl.Int64)
        )


class Toy:
    """A plugin with a stage of each family."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Numbers, Echo, Shout, Contains, Shorter, Join, Hash, Digits]


RECIPE = """
[recipe]
name = "toy"
seed = 3

[teacher.parrot]
use = "fake"
words = 12
max_parallel = 4

[sampler.things]
use = "grid"
thing = ["cat", "dog", "owl", "eel"]
place = ["sea", "hill"]

[stage.numbers]
use = "toy/numbers"
count = 25

[stage.echoes]
use = "toy/echo"
teacher = "parrot"
sampler = "things"
count = 20

[stage.even]
use = "toy/contains"
from = "numbers"
word = "even"

[stage.half]
use = "toy/shorter"
from = ["even", "echoes"]

[stage.loud]
use = "toy/shout"
from = "half"

[stage.shards]
use = "toy/join"
from = "loud"

[stage.model]
use = "toy/hash"
shards = "shards"

[stage.report]
use = "toy/digits"
from = "model"
"""


@pytest.fixture
def plugins() -> Plugins:
    """The built-in plugins and the toy, without installed plugins."""
    plugins = Plugins([])
    plugins.add("toy", Toy())
    return plugins


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for recipes, with a prompt."""
    (tmp_path / "echo.md.j2").write_text("Say something about a {{ thing }} by the {{ place }}.", encoding="utf-8")
    return tmp_path


@pytest.fixture
def planned(folder: Path, plugins: Plugins) -> Callable[..., Plan]:
    """A function that plans the text of a recipe; `sets` are overrides."""

    def plan(text: str = RECIPE, sets: Mapping[str, Any] | None = None, limit: int | None = None) -> Plan:
        file = folder / "toy.toml"
        file.write_text(text, encoding="utf-8")
        return make_plan(read_recipe(file, sets), plugins, limit=limit)

    return plan


@pytest.fixture
def ran(folder: Path, plugins: Plugins, planned: Callable[..., Plan]) -> Callable[..., RunFolder]:
    """A function that runs the text of a recipe in the workspace of the folder."""

    def run(text: str = RECIPE, sets: Mapping[str, Any] | None = None, **options: Any) -> RunFolder:
        return run_plan(planned(text, sets), Workspace(folder / "work"), plugins, executor="serial", **options)

    return run
