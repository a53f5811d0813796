"""Mixtures: the arithmetic against published tables, and streams that have the mixture in every stretch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import polars as pl
import pytest
from pydantic import ValidationError

from textbookgen.api.artifacts import Documents
from textbookgen.api.errors import RunError
from textbookgen.api.stage import Estimate, StageInputs
from textbookgen.builtin.stages.export import Export
from textbookgen.builtin.stages.mix import Mix
from textbookgen.builtin.stages.mixture import (
    Phase,
    describe,
    make_portions,
    max_tokens_without_repetition,
    normalize,
    overall_shares,
    repetition_warnings,
)
from textbookgen.provenance.cost_estimate import estimate_cost
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.storage.workspace import RunFolder
from textbookgen.testing import documents, write_documents

PHI4 = {"web": 15, "rewrites": 15, "synthetic": 40, "code": 20, "acquired": 10}
UNIQUE = {"web": 1.3e12, "rewrites": 290e9, "synthetic": 290e9, "code": 820e9, "acquired": 580e9}


def test_the_epochs_of_phi_4() -> None:
    """Table 5 of arXiv 2412.08905, at ten trillion tokens: it prints 1.2, 5.2, 13.8, 2.4 and 1.7."""
    portions = make_portions(PHI4, UNIQUE, 10e12)
    assert [round(portion.epochs, 2) for portion in portions] == [1.15, 5.17, 13.79, 2.44, 1.72]
    assert sum(portion.tokens for portion in portions) == pytest.approx(10e12)
    assert list(repetition_warnings(portions, synthetic=["rewrites", "synthetic"])) == []
    (warning,) = repetition_warnings(portions, synthetic=["synthetic"])
    assert warning == "'rewrites' is repeated 5.2 times; more than 4 epochs of human-written text may hurt"
    (warning,) = repetition_warnings(make_portions(PHI4, UNIQUE, 12e12), synthetic=["rewrites", "synthetic"])
    assert warning == "'synthetic' is repeated 16.6 times; more than 16 epochs of synthetic text may hurt"
    assert list(repetition_warnings(portions, synthetic=["synthetic"], max_epochs={"rewrites": 6})) == []
    assert "web 15.0%, 1,500,000,000,000 tokens, 1.15 epochs" in describe(portions)


def test_a_limit_of_the_recipe_may_be_lower_than_the_default() -> None:
    portions = make_portions({"web": 1}, {"web": 100}, 300)
    assert list(repetition_warnings(portions)) == []
    assert list(repetition_warnings(portions, max_epochs={"web": 2})) == ["'web' is repeated 3.0 times; `max_epochs` is 2"]


def test_phases_add_up() -> None:
    """phi-1.5 and its web data: 90 % of an 80/20 mixture, then 10 % of textbooks alone."""
    shares = overall_shares([Phase(share=9, weights={"textbooks": 80, "code": 20}), Phase(share=1, weights={"textbooks": 1})])
    assert shares == pytest.approx({"textbooks": 0.9 * 0.8 + 0.1, "code": 0.18})
    assert max_tokens_without_repetition({"a": 1, "b": 3}, {"a": 100, "b": 150}) == pytest.approx(200)
    with pytest.raises(ValueError, match="no weight may be negative"):
        normalize({"a": 0})


def corpus(folder: Path, label: str, count: int, words: tuple[int, int], reply: bool = False) -> Documents:
    rng = Random(label)
    texts = [f"{label} {n} " + "word " * rng.randint(*words) for n in range(count)]
    frame = documents(texts)
    if reply:
        frame = frame.with_columns(reply=pl.lit("key"))
    return write_documents(folder / label, *frame.iter_slices(70))


def tokens(frame: pl.DataFrame) -> pl.Series:
    return frame.select((pl.col("text").str.len_bytes() / 4).round())["text"]


def sized(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(tokens(frame).alias("size"))


def mix(folder: Path, stage: Mix, **tables: Documents) -> pl.DataFrame:
    return pl.concat(stage.stream(StageInputs({"from": tables}, folder, None)), how="diagonal_relaxed")  # type: ignore[arg-type]


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Documents]:
    return {"web": corpus(tmp_path, "web", 900, (20, 400)), "books": corpus(tmp_path, "books", 150, (100, 300), reply=True)}


def test_every_stretch_has_the_mixture_and_each_epoch_each_document(tmp_path: Path, tables: dict[str, Documents]) -> None:
    stage = Mix(**{"from": ["web", "books"]}, weights={"web": 0.4, "books": 0.6}, tokens=150_000)
    rows = mix(tmp_path, stage, **tables).pipe(sized)
    assert rows["id"].n_unique() == len(rows)
    assert int(rows["size"].sum()) == pytest.approx(150_000, rel=0.01)
    for at in range(0, len(rows), 200):
        stretch = rows[at : at + 200]
        books = stretch.filter(pl.col("mix.source") == "books")
        if len(stretch) == 200:
            assert int(books["size"].sum()) / int(stretch["size"].sum()) == pytest.approx(0.6, abs=0.03)
    books = rows.filter(pl.col("mix.source") == "books")
    whole = int(150_000 * 0.6 / tokens(tables["books"].scan().collect()).sum())
    assert whole >= 2
    epochs = [books.filter(pl.col("mix.epoch") == epoch)["text"].to_list() for epoch in range(1, whole + 2)]
    assert all(len(set(epoch)) == len(epoch) == 150 for epoch in epochs[:-1])
    assert 0 < len(epochs[-1]) < 150
    assert epochs[0] != epochs[1], "each epoch has a different order"
    repeated = books.filter(pl.col("mix.epoch") == 2)
    originals = dict(tables["books"].scan().select("id", "text").collect().iter_rows())
    assert all(originals[parents[0]] == text for parents, text in zip(repeated["parents"], repeated["text"], strict=True))
    notes = " ".join(stage.notes())
    assert "books 60.0%, 90,000 tokens" in notes
    assert "WARNING" not in notes, "the books are synthetic, and the web is not repeated"


def test_too_many_epochs_are_reported(tmp_path: Path, tables: dict[str, Documents]) -> None:
    few = {"web": corpus(tmp_path, "few", 20, (50, 60)), "books": tables["books"]}
    stage = Mix(**{"from": ["web", "books"]}, weights={"web": 1, "books": 1}, tokens=20_000)
    mix(tmp_path, stage, **few)
    assert any(note.startswith("WARNING: 'web' is repeated") for note in stage.notes())


def test_phases_are_consecutive_and_can_be_output_alone(tmp_path: Path, tables: dict[str, Documents]) -> None:
    phases = [{"share": 0.75, "weights": {"web": 0.9, "books": 0.1}}, {"share": 0.25, "weights": {"books": 1}}]
    rows = mix(tmp_path, Mix(**{"from": ["web", "books"]}, phases=phases, tokens=60_000), **tables)
    rows = rows.pipe(sized)
    order = rows["mix.phase"].to_list()
    assert order == sorted(order)
    first, second = (rows.filter(pl.col("mix.phase") == phase) for phase in (1, 2))
    assert set(second["mix.source"]) == {"books"}
    assert int(second["size"].sum()) / int(rows["size"].sum()) == pytest.approx(0.25, abs=0.02)
    web = first.filter(pl.col("mix.source") == "web")
    assert int(web["size"].sum()) / int(first["size"].sum()) == pytest.approx(0.9, abs=0.02)
    alone = mix(tmp_path, Mix(**{"from": ["web", "books"]}, phases=phases, tokens=60_000, phase=2), **tables)
    assert alone["id"].to_list() == second["id"].to_list()


def test_without_tokens_nothing_is_repeated_and_one_source_is_exhausted(tmp_path: Path, tables: dict[str, Documents]) -> None:
    rows = mix(tmp_path, Mix(**{"from": ["web", "books"]}, weights={"web": 1, "books": 1}), **tables)
    assert set(rows["mix.epoch"]) == {1}
    assert len(rows.filter(pl.col("mix.source") == "books")) == 150
    again = mix(tmp_path, Mix(**{"from": ["web", "books"]}, weights={"web": 1, "books": 1}), **tables)
    assert rows.equals(again)
    other = mix(tmp_path, Mix(**{"from": ["web", "books"]}, weights={"web": 1, "books": 1}, seed=1), **tables)
    assert set(rows["id"]) != set(other["id"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either `weights` or `phases`"),
        ({"weights": {"web": 1}, "phases": [{"share": 1, "weights": {"web": 1}}]}, "either `weights` or `phases`"),
        ({"weights": {"web": 0}}, "greater than 0"),
        ({"weights": {"web": 1}, "phase": 1}, "`phase` is 1, but there are 0 phases"),
        ({"phases": [{"share": 1, "weights": {"web": 0}}]}, "at least one must be positive"),
    ],
)
def test_invalid_mixtures_are_rejected(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mix(**{"from": ["web"]}, **options)


def test_inputs_and_weights_must_match(tmp_path: Path) -> None:
    problems = [each.problem for each in Mix(**{"from": ["web", "code"]}, weights={"web": 1, "books": 1}).check()]
    assert problems == ["'books' is not an input", "'code' has no weight"]
    with pytest.raises(RunError, match="'web' has no tokens"):
        mix(tmp_path, Mix(**{"from": ["web"]}, weights={"web": 1}), web=Documents(()))


def test_its_size_is_estimated() -> None:
    stage = Mix(**{"from": ["web", "books"]}, weights={"web": 1, "books": 1}, tokens=1_000_000)
    inputs = {"from.web": Estimate(documents=100, tokens=100_000), "from.books": Estimate(50, 400_000, synthetic=True)}
    estimated = stage.estimate(inputs)
    assert estimated is not None
    assert (estimated.tokens, estimated.documents) == (1_000_000, 100 * 5 + 50 * 1.25)
    assert list(stage.warnings(inputs)) == ["'web' is repeated 5.0 times; more than 4 epochs of human-written text may hurt"]
    assert list(Mix(**{"from": ["web"]}, weights={"web": 1}).warnings({"from.web": Estimate()})) == []


@pytest.mark.parametrize("mixes", [1, 2])
def test_a_text_and_its_copies_are_in_the_same_split(tmp_path: Path, tables: dict[str, Documents], mixes: int) -> None:
    """Repeated documents have new ids, and are still held out together, also after a mixture of mixtures."""
    stage = Mix(**{"from": ["books"]}, weights={"books": 1}, tokens=250_000)
    rows = mix(tmp_path, stage, books=tables["books"])
    assert rows["mix.epoch"].max() >= 6
    if mixes == 2:
        rows = mix(tmp_path, stage, books=write_documents(tmp_path / "first", *rows.iter_slices(200)))
    repeated = write_documents(tmp_path / "repeated", *rows.iter_slices(200))
    out = tmp_path / "out"
    out.mkdir()
    export = Export(**{"from": "both"}, layout="jsonl", validation=0.2)
    export.pack(StageInputs({"from": {"both": repeated}}, tmp_path, None), out)  # type: ignore[arg-type]
    train, held_out = (
        set(pl.concat(map(pl.read_ndjson, sorted(out.glob(f"{split}-*"))))["text"]) for split in ("train", "validation")
    )
    assert len(train) + len(held_out) == 150
    assert 10 < len(held_out) < 60
    assert not train & held_out


def test_a_limited_run_is_not_repeated_a_million_times(planned: Callable[..., Plan]) -> None:
    stage = planned(RECIPE.replace("50_000", "1_000_000_000_000"), limit=3).steps[-1].stage
    assert isinstance(stage, Mix)
    assert stage.tokens is None


RECIPE = """
[recipe]
name = "mixed"
[teacher.parrot]
use = "fake"
words = 40
[sampler.things]
use = "grid"
thing = ["cat", "dog"]
place = ["sea", "hill"]
[stage.numbers]
use = "toy/numbers"
count = 2500
[stage.echoes]
use = "toy/echo"
teacher = "parrot"
sampler = "things"
count = 30
reply_tokens = 40
[stage.kept]
use = "toy/contains"
from = "echoes"
[stage.both]
use = "mix"
from = ["numbers", "kept"]
weights = { numbers = 0.5, kept = 0.5 }
tokens = 50_000
"""


def test_the_report_of_a_recipe_states_the_mixture(
    ran: Callable[..., RunFolder], planned: Callable[..., Plan], folder: Path
) -> None:
    run = ran(RECIPE)
    step = run.summary().step("both")
    rows = pl.concat([pl.read_parquet(file) for file in sorted((folder / "work" / "steps").glob("both-*/data/*.parquet"))])
    assert step.rows_out == len(rows) == rows["id"].n_unique()
    report = run.report.read_text(encoding="utf-8")
    assert "- **both**: numbers 50.0%, 25,000 tokens" in report
    assert "WARNING: 'kept' is repeated" in report
    estimated = estimate_cost(planned(RECIPE.replace("28_000", "80_000")))
    volumes = {each.step.label: each.volume for each in estimated.steps}
    assert volumes["kept"].synthetic
    assert not volumes["numbers"].synthetic


def test_tokens_are_counted_by_the_tokenizer_with_an_end_of_document_each(tmp_path: Path) -> None:
    table = write_documents(tmp_path / "web", documents([f"{n:02}" for n in range(20)]))
    stage = Mix(**{"from": ["web"]}, weights={"web": 1}, tokenizer="bytes")
    rows = pl.concat(stage.stream(StageInputs({"from": {"web": table}}, tmp_path, Plugins([]))))
    assert len(rows) == 20
    assert list(stage.notes()) == ["web 100.0%, 60 tokens, 1.00 epochs"]
