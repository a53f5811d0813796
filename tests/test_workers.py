"""Workers: what they refuse from stages that break their contract, and how rows become parts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from textbookgen.api.errors import RunError, TextbookgenError, TrainerError
from textbookgen.api.events import Event, Progress
from textbookgen.api.hashing import document_id
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import CorpusFilter, Evaluator, Filter, Job, Packer, Source, Stage, StageInputs, Trainer, Transform
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.observers import Observers
from textbookgen.run.workers.parts import align_verdicts
from textbookgen.run.workers.stream import split_into_parts
from textbookgen.storage.workspace import RunFolder

Ran = Callable[..., RunFolder]


class Rows(Source):
    """Reads rows in frames of a given size."""

    name: ClassVar[str] = "rows"
    sizes: tuple[int, ...] = Field((), description="rows of each frame")
    distinct: bool = Field(True, description="whether ids are distinct")

    def read(self) -> Iterator[pl.DataFrame]:
        n = 0
        for size in self.sizes:
            ids = [document_id("rows", at if self.distinct else at % 5) for at in range(n, n + size)]
            yield pl.DataFrame({"id": ids, "text": [f"text {at}" for at in range(n, n + size)]})
            n += size


class BadFilter(Filter):
    """Gives verdicts that break the contract."""

    name: ClassVar[str] = "bad-filter"
    how: str = Field("", description="what is wrong")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        verdicts = docs.select("id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String))
        wrong = {
            "no reason": verdicts.drop("reason"),
            "one missing": verdicts.tail(-1),
            "one twice": pl.concat([verdicts, verdicts.tail(1)]),
            "null": verdicts.with_columns(keep=pl.lit(None, dtype=pl.Boolean)),
            "reversed": verdicts.reverse(),
        }
        return wrong[self.how]


class BadCorpusFilter(CorpusFilter):
    """Gives sketches or verdicts that break the contract."""

    name: ClassVar[str] = "bad-corpus-filter"
    how: str = Field("", description="what is wrong")

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        return docs.select("id").reverse() if self.how == "sketches" else docs.select("id")

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        verdicts = sketches.select("id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String)).collect()
        return pl.concat([verdicts, verdicts.head(1)]) if self.how == "verdicts" else verdicts.reverse()


class Streamer(Transform):
    """Streams its input in frames of three rows, and counts what it reads."""

    name: ClassVar[str] = "streamer"
    twice: bool = Field(False, description="whether rows are repeated")

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        for frame in inputs["from"].frames():
            for start in range(0, len(frame), 3):
                yield frame.slice(start, 3)
                if self.twice:
                    yield frame.slice(start, 1)

    def notes(self) -> list[str]:
        return ["streamed"]


class NoCard(Packer):
    """Writes nothing."""

    name: ClassVar[str] = "no-card"

    def pack(self, inputs: StageInputs, out: Path) -> None:
        assert not list(out.iterdir()), "the folder is empty at the start"


class NoCheckpoint(Trainer):
    """Exits at once, with or without a card that can be read."""

    name: ClassVar[str] = "no-checkpoint"
    card: str = Field("", description="content of checkpoint.json")

    def command(self, job: Job) -> list[str]:
        code = "import sys; sys.argv[2] and open(sys.argv[1] + '/checkpoint.json', 'w').write(sys.argv[2])"
        return [sys.executable, "-c", code, str(job.folder), self.card]


class NoValue(Evaluator):
    """Gives figures without a value."""

    name: ClassVar[str] = "no-value"

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        return pl.DataFrame({"subject": ["a"], "metric": ["b"]})


class ContractPlugin:
    """A plugin with these stages."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Rows, BadFilter, BadCorpusFilter, Streamer, NoCard, NoCheckpoint, NoValue]


@pytest.fixture
def run_stage(ran: Ran, plugins: Plugins) -> Callable[..., RunFolder]:
    """Runs `rows` and one more stage on it."""
    plugins.add("contract", ContractPlugin())

    def run(use: str = "", source: dict[str, Any] | None = None, **options: Any) -> RunFolder:
        options = ({"from": "rows"} if "filter" in use or use == "streamer" else {}) | options
        lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
        rows = [f"{key} = {json.dumps(value)}" for key, value in ({"sizes": [7]} | (source or {})).items()]
        text = ['[recipe]\nname = "r"', '[stage.rows]\nuse = "contract/rows"', *rows]
        return ran("\n".join([*text, f'[stage.it]\nuse = "contract/{use}"', *lines] if use else text))

    return run


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("no reason", "the verdicts of 'it' lack the column reason"),
        ("one missing", "'it' must give exactly one verdict per document"),
        ("one twice", "'it' must give exactly one verdict per document"),
        ("null", "'it' must give exactly one verdict per document"),
    ],
)
def test_verdicts_that_break_the_contract_are_errors(run_stage: Any, how: str, problem: str) -> None:
    with pytest.raises(RunError, match=problem) as caught:
        run_stage("bad-filter", how=how)
    assert "[stage.it]" in caught.value.place


def test_verdicts_may_be_in_any_order(run_stage: Any, folder: Path) -> None:
    assert run_stage("bad-filter", how="reversed").summary().step("it").rows_out == 7
    (data,), (verdicts,) = (folder.glob(f"work/steps/{name}") for name in ("rows-*/data/*", "it-*/verdicts/*"))
    assert pl.read_parquet(verdicts)["id"].equals(pl.read_parquet(data)["id"])


@pytest.mark.parametrize(
    ("how", "problem"), [("sketches", "one sketch per document"), ("verdicts", "more than one verdict for a document")]
)
def test_a_corpus_filter_that_breaks_the_contract_is_an_error(run_stage: Any, how: str, problem: str) -> None:
    with pytest.raises(RunError, match=problem):
        run_stage("bad-corpus-filter", how=how)


def test_verdicts_of_a_corpus_filter_are_split_as_its_input_is(run_stage: Any, folder: Path) -> None:
    assert run_stage("bad-corpus-filter", source={"sizes": [1_500]}).summary().step("it").rows_out == 1_500
    sizes = [len(pl.read_parquet(file)) for file in sorted(folder.glob("work/steps/it-*/verdicts/*"))]
    assert sizes == [1_000, 500]


def test_a_stream_is_written_in_parts_of_even_size(run_stage: Any, folder: Path) -> None:
    step = run_stage("streamer", source={"sizes": [300, 0, 1_250]}).summary().step("it")
    assert (step.rows_in, step.rows_out, step.notes) == (1_550, 1_550, ("streamed",))
    parts = [pl.read_parquet(file) for file in sorted(folder.glob("work/steps/it-*/data/*"))]
    assert [len(part) for part in parts] == [1_000, 550]
    assert pl.concat(parts)["text"].to_list() == [f"text {n}" for n in range(1_550)]


def test_a_stream_or_source_with_equal_ids_is_an_error(run_stage: Any) -> None:
    with pytest.raises(RunError, match="two documents have the id"):
        run_stage("streamer", twice=True)
    with pytest.raises(RunError, match="two documents have the id"):
        run_stage(source={"distinct": False})


@pytest.mark.parametrize("sizes", [[], [0, 0]])
def test_a_source_without_documents_is_an_error(run_stage: Any, sizes: list[int]) -> None:
    with pytest.raises(RunError, match="no documents were read"):
        run_stage(source={"sizes": sizes})


def test_stages_without_their_result_are_errors(run_stage: Any) -> None:
    with pytest.raises(RunError, match=r"did not write manifest.json"):
        run_stage("no-card")
    with pytest.raises(TrainerError, match=r"exited without an error but wrote no checkpoint.json"):
        run_stage("no-checkpoint")
    with pytest.raises(RunError, match="lack the column value"):
        run_stage("no-value")


@pytest.mark.parametrize("card", ["{", "[1]", "{}"])
def test_an_unreadable_checkpoint_card_fails_the_step(run_stage: Any, card: str) -> None:
    with pytest.raises(TextbookgenError, match=r"checkpoint\.json") as caught:
        run_stage("no-checkpoint", card=card)
    assert "[stage.it]" in caught.value.place


@given(st.lists(st.integers(0, 2_500), max_size=5), st.none() | st.integers(1, 4_000))
def test_split_into_parts_keeps_all_rows_in_order(sizes: list[int], limit: int | None) -> None:
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    frames = [pl.DataFrame({"n": range(start, start + size)}) for start, size in zip(starts, sizes, strict=True)]
    parts = list(split_into_parts(iter(frames), limit))
    total = sum(sizes) if limit is None else min(sum(sizes), limit)
    assert [n for part in parts for n in part["n"]] == list(range(total))
    assert all(len(part) == 1_000 for part in parts[:-1])
    assert all(0 < len(part) <= 1_000 for part in parts)


@given(st.permutations(range(6)))
def test_verdicts_are_aligned_with_documents(order: list[int]) -> None:
    docs = pl.DataFrame({"id": [str(n) for n in range(6)]})
    verdicts = pl.DataFrame({"id": list(map(str, order)), "keep": [n % 2 == 0 for n in order], "reason": list(map(str, order))})
    aligned = align_verdicts(verdicts, docs, "it")
    assert aligned["id"].to_list() == aligned["reason"].to_list() == docs["id"].to_list()
    assert aligned["keep"].to_list() == [True, False] * 3


def test_observers_get_the_last_progress_of_a_step_and_few_others() -> None:
    seen: list[Event] = []
    observers = Observers([("recorder", lambda event: seen.append(event))])
    for label in ("a", "b"):
        for done in range(1, 1_001):
            observers.notify(Progress(label, done, 1_000, "documents"))
    assert [(event.label, event.done) for event in seen if isinstance(event, Progress)][-1] == ("b", 1_000)
    assert ("a", 1_000) in [(event.label, event.done) for event in seen if isinstance(event, Progress)]
    assert len(seen) < 40
