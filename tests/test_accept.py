"""`accept`: exactly `count` documents, with few surplus draws, and filters in the order of the recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import ClassVar

import polars as pl
import pytest

from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Filter, Stage
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]
WORDS = [f"word{n}" for n in range(2_000)]
PROBLEM = " ".join(f"problem{n}" for n in range(40))


class Chance(Filter):
    """Keeps a share of the documents, by a hash of the text."""

    name: ClassVar[str] = "chance"
    share: float = 0.37

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        keep = [int(sha256(text.encode()).hexdigest()[:8], 16) < self.share * 2**32 for text in docs["text"]]
        return docs.select("id").with_columns(
            pl.Series("keep", keep, dtype=pl.Boolean), pl.Series("reason", [None if kept else "unlucky" for kept in keep])
        )


class Expensive(Filter):
    """Keeps everything, and records the documents that it had to decide about."""

    name: ClassVar[str] = "expensive"
    decided: ClassVar[list[str]] = []

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        self.decided.extend(docs["text"])
        return docs.select("id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String))


class Copyist(Teacher):
    """Every fifth reply is a near copy of an earlier one, and every seventh contains the problem of the benchmark."""

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
    """A benchmark with one problem."""

    name: ClassVar[str] = "problems"
    stop: ClassVar[tuple[str, ...]] = ()

    def items(self) -> Iterator[BenchmarkItem]:
        yield BenchmarkItem("one", PROBLEM, "no answer")


class Trying:
    """A plugin with these."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        return [Chance, Expensive]

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
def test_count_is_reached_with_few_surplus_draws(
    folder: Path, plugins: Plugins, planned: Callable[..., Plan], seed: int
) -> None:
    plugins.add("try", Trying())
    things = [f"thing{n}" for n in range(100)]
    text = RECIPE.format(seed=seed, teacher="fake", things=things, count=1_000, accept='["try/chance"]')
    run = run_plan(planned(text), Workspace(folder / "work"), plugins, executor="serial")
    verdicts, (step,) = written(folder, "verdicts"), run.summary().steps
    assert step.rows_out == int(verdicts["keep"].sum()) == 1_000
    assert step.requests == len(verdicts) <= 1.05 * 1_000 / 0.37
    assert not (verdicts["reason"] == "count reached").fill_null(False).sum() > 5


@pytest.fixture
def with_filters(folder: Path) -> Plugins:
    """The toy, this test's plugin, dedup and decontamination."""
    names = ["decontamination", "dedup"]
    plugins = Plugins(names)
    if any(name not in plugins.installed or plugins.installed[name].error is not None for name in names):
        pytest.skip("textbookgen-dedup or textbookgen-decontamination is not installed")
    from conftest import Toy

    plugins.add("toy", Toy())
    plugins.add("try", Trying())
    return plugins


ACCEPT = '["dedup/online", {use = "decontamination/filter", benchmarks = ["problems"]}, "try/expensive"]'


def test_later_filters_see_only_what_earlier_ones_keep(folder: Path, with_filters: Plugins) -> None:
    Expensive.decided.clear()
    file = folder / "exactly.toml"
    text = RECIPE.format(seed=1, teacher="try/copyist", things=["a", "b"], count=1_500, accept=ACCEPT)
    file.write_text(text, encoding="utf-8")
    run = run_plan(make_plan(read_recipe(file), with_filters), Workspace(folder / "work"), with_filters, executor="serial")
    (step,) = run.summary().steps
    verdicts = written(folder, "verdicts")
    reasons = Counter(verdicts["reason"].drop_nulls())
    copies = sum(count for reason, count in reasons.items() if reason == "near copy")
    contaminated = reasons["13-gram of problems"]
    surplus = reasons["count reached"]
    assert step.rows_out == 1_500
    assert copies > 150
    assert contaminated == sum(PROBLEM in text for text in written(folder)["text"]) > 150
    assert len(Expensive.decided) == len(verdicts) - copies - contaminated == 1_500 + surplus
    assert not any(PROBLEM in text for text in Expensive.decided)
    assert surplus <= 0.02 * len(verdicts)
    origins = [" ".join(text.replace("changed", "").split()[:20]) for text in Expensive.decided]
    assert len(set(origins)) > 0.99 * len(origins)


def test_filters_that_compare_with_accepted_documents_see_the_parts_in_order(folder: Path, with_filters: Plugins) -> None:
    """Also with `from`: a copy of a document in an earlier part is rejected."""
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
    run = run_plan(make_plan(read_recipe(file), with_filters), Workspace(folder / "work"), with_filters, executor="serial")
    step = run.summary().steps[1]
    assert (step.rows_in, step.rows_out, step.dropped) == (2_100, 600, {"near copy": 1_500})
