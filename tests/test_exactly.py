"""Exactly as many documents as asked for, at hardly more draws than they take, and copies refused before dearer judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import polars as pl
import pytest

from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Filter, Stage
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import Plan, make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]
WORDS = [f"word{n}" for n in range(2_000)]
PROBLEM = " ".join(f"problem{n}" for n in range(40))


class Chance(Filter):
    """Keeps a share of what it sees, by a hash of the text."""

    name: ClassVar[str] = "chance"
    share: float = 0.37

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        keep = [int(sha256(text.encode()).hexdigest()[:8], 16) < self.share * 2**32 for text in docs["text"]]
        return docs.select("id").with_columns(
            pl.Series("keep", keep, dtype=pl.Boolean), pl.Series("reason", [None if each else "unlucky" for each in keep])
        )


class Dear(Filter):
    """A judge whose every look costs something: it remembers what it was shown."""

    name: ClassVar[str] = "dear"
    shown: ClassVar[list[str]] = []

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        self.shown.extend(docs["text"])
        return docs.select("id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String))


class Copyist(Teacher):
    """Every fifth reply is an earlier one with a word changed, every seventh holds a problem of the benchmark."""

    name: ClassVar[str] = "copyist"

    async def complete(self, request: Request) -> Reply:
        n = request.sample
        if n % 7 == 6:
            return Reply(" ".join([*self.words(n), PROBLEM]), 1, 1)
        words = self.words(n // 2 if n % 5 == 4 and n // 2 % 7 != 6 else n)
        if n % 5 == 4:
            words[n % len(words)] = "changed"
        return Reply(" ".join(words), 1, 1)

    @staticmethod
    def words(n: int) -> list[str]:
        return Random(n).choices(WORDS, k=120)

    def price(self) -> Price:
        return Price(0, 0)


class Problems:
    """A benchmark of one problem."""

    name: ClassVar[str] = "problems"
    stop: ClassVar[tuple[str, ...]] = ()

    def items(self) -> Iterator[BenchmarkItem]:
        yield BenchmarkItem("one", PROBLEM, "no answer")


class Trying:
    """A plugin with these."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Chance, Dear]

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Copyist]

    @hookimpl
    def open_benchmark(self, name: str) -> Benchmark | None:
        return Problems() if name == "problems" else None


RECIPE = """
[recipe]
name = "exactly"
seed = {seed}
[teacher.writer]
use = "{teacher}"
[sampler.things]
use = "grid"
thing = {things}
place = {things}
[stage.written]
use = "toy/echo"
teacher = "writer"
sampler = "things"
count = {count}
accept = {accept}
"""


def written(folder: Path, kind: str = "data") -> pl.DataFrame:
    files = sorted((folder / "work" / "steps").glob(f"written-*/{kind}/*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_thousand_at_a_rate_of_a_third(folder: Path, plugins: Plugins, planned: Callable[..., Plan], seed: int) -> None:
    plugins.add("try", Trying())
    things = [f"thing{n}" for n in range(100)]
    text = RECIPE.format(seed=seed, teacher="fake", things=things, count=1_000, accept='["try/chance"]')
    run = run_plan(planned(text), Workspace(folder / "work"), plugins, executor="serial")
    verdicts, (step,) = written(folder, "verdicts"), (run.summary() or {})["steps"]
    assert step["rows_out"] == int(verdicts["keep"].sum()) == 1_000
    assert step["requests"] == len(verdicts) <= 1.05 * 1_000 / 0.37
    assert not (verdicts["reason"] == "enough were accepted").fill_null(False).sum() > 5


@pytest.fixture
def sieves(folder: Path) -> Plugins:
    """The toy, this test's plugin, and minhash."""
    found = Plugins(["minhash"])
    if found.installed.get("minhash") is None or found.installed["minhash"].error is not None:
        pytest.skip("textbookgen-dedup is not installed")
    from conftest import Toy

    found.add("toy", Toy())
    found.add("try", Trying())
    return found


ACCEPT = '["dedup/online", {use = "decontamination/filter", benchmarks = ["problems"]}, "try/dear"]'


def test_copies_and_benchmark_items_are_refused_before_a_dear_judge_is_asked(folder: Path, sieves: Plugins) -> None:
    Dear.shown.clear()
    file = folder / "exactly.toml"
    text = RECIPE.format(seed=1, teacher="try/copyist", things=["a", "b"], count=1_500, accept=ACCEPT)
    file.write_text(text, encoding="utf-8")
    run = run_plan(make_plan(read_recipe(file), sieves), Workspace(folder / "work"), sieves, executor="serial")
    (step,) = (run.summary() or {})["steps"]
    verdicts = written(folder, "verdicts")
    reasons = Counter(verdicts["reason"].drop_nulls())
    copies = sum(count for reason, count in reasons.items() if reason == "near copy")
    tainted = reasons["13-gram of problems"]
    surplus = reasons["enough were accepted"]
    assert step["rows_out"] == 1_500
    assert copies > 150
    assert tainted == sum(PROBLEM in text for text in written(folder)["text"]) > 150
    assert len(Dear.shown) == len(verdicts) - copies - tainted == 1_500 + surplus
    assert not any(PROBLEM in text for text in Dear.shown)
    assert surplus <= 0.02 * len(verdicts)
    drawn_from = [" ".join(text.replace("changed", "").split()[:20]) for text in Dear.shown]
    assert len(set(drawn_from)) > 0.99 * len(drawn_from)


def test_judges_that_remember_are_told_in_order_over_the_seams_of_parts(folder: Path, sieves: Plugins) -> None:
    """With a `from`, parts are judged in order too: a copy in a later part of what an earlier one holds is refused."""
    (folder / "about.md.j2").write_text("Copy {{ document.text.split()[1] | int % 600 }}", encoding="utf-8")
    text = """
[recipe]
name = "order"
[teacher.writer]
use = "fake"
replies = ["{prompt}"]
[stage.numbers]
use = "toy/numbers"
count = 2100
[stage.written]
use = "toy/echo"
teacher = "writer"
from = "numbers"
prompt = "about.md.j2"
accept = ["dedup/online"]
"""
    file = folder / "order.toml"
    file.write_text(text, encoding="utf-8")
    run = run_plan(make_plan(read_recipe(file), sieves), Workspace(folder / "work"), sieves, executor="serial")
    step: dict[str, Any] = (run.summary() or {})["steps"][1]
    assert (step["rows_in"], step["rows_out"], step["dropped"]) == (2_100, 600, {"near copy": 1_500})
