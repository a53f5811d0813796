"""`target`: a stage reaches it, or reports that it did not."""

from __future__ import annotations

import importlib.util
import pickle
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import ClassVar

import polars as pl
import pytest

from textbookgen.api.errors import RecipeError, RequestRefused, TextbookgenError
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.sampler import AcceptedStats, Grid, Sampler
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.samplers.least_covered import LeastCoveredSampler
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]
HEAD = """
[recipe]
name = "target"
[teacher.parrot]
use = "fake"
replies = ["Once upon a time there {prompt}", "Long ago in a land {prompt}", "{sample} is where it all began {prompt}"]
[sampler.things]
use = "grid"
thing = ["cat", "dog", "owl", "eel"]
place = ["sea", "hill"]
[stage.tales]
use = "toy/echo"
teacher = "parrot"
sampler = "things"
"""


@pytest.fixture(scope="module")
def steering() -> ModuleType:
    """benchmarks/steering.py."""
    file = Path(__file__).parents[1] / "benchmarks" / "steering.py"
    spec = importlib.util.spec_from_file_location("benchmark_steering", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_repetitive_teacher_is_steered_to_the_target(steering: ModuleType, seed: int) -> None:
    result = steering.run("steered", seed, 1_000)
    assert result["accepted"] == 1_000
    assert result["top_opening"] <= 0.02
    assert result["coverage"] >= 0.95
    assert result["relative_to_perfect"] <= 1.3
    assert result["notes"].startswith("target reached: 2.00% of the documents begin")


def test_without_a_target_the_openings_collapse(steering: ModuleType) -> None:
    result = steering.run("random", 1, 500)
    assert result["top_opening"] > 0.15
    assert result["coverage"] < 0.6


def notes(run: RunFolder) -> str:
    return " ".join(run.summary().steps[0].notes)


def texts(folder: Path) -> list[str]:
    files = {kind: sorted((folder / "work" / "steps").glob(f"tales-*/{kind}/*.parquet")) for kind in ("data", "verdicts")}
    rows, verdicts = (pl.concat([pl.read_parquet(file) for file in files[kind]]) for kind in ("data", "verdicts"))
    return rows.join(verdicts.filter("keep"), on="id", how="semi")["text"].to_list()


def test_no_opening_exceeds_its_share_with_any_sampler(ran: Ran, folder: Path) -> None:
    run = ran(HEAD + "count = 200\ntarget = { openings = 0.1, opening_words = 4 }\n")
    openings = Counter(" ".join(text.lower().split()[:4]) for text in texts(folder))
    assert sum(openings.values()) == 200
    assert max(openings.values()) == 20
    assert openings["once upon a time"] == openings["long ago in a"] == 20
    assert "target reached: 10.00% of the documents begin with 'long ago in a'" in notes(run)
    assert "target reached" in run.report.read_text(encoding="utf-8")
    (step,) = run.summary().steps
    assert set(step.dropped) <= {"opening too frequent", "count reached"}


def test_an_unreachable_target_is_reported_as_not_reached(ran: Ran) -> None:
    run = ran(HEAD.replace(', "{sample} is where it all began {prompt}"', "") + "count = 40\ntarget = { openings = 0.05 }\n")
    assert "NOT reached" in notes(run)
    assert "documents were accepted in 800 draws" in notes(run)


def test_the_last_documents_count_only_if_they_add_coverage(ran: Ran) -> None:
    text = HEAD.replace('use = "grid"', 'use = "words"') + "count = 8\ntarget = { coverage = 1.0 }\n"
    run = ran(text.replace('use = "words"\n', 'use = "least-covered"\nstrength = 0\n'))
    assert "100.00% of 8 combinations" in notes(run)
    (step,) = run.summary().steps
    assert step.rows_out == 8
    assert step.dropped["combination already covered"] > 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("count = 5\ntarget = { coverage = 0.9 }", "`count` is too small to cover 90% of 8 combinations"),
        ("count = 5\ntarget = { coverage = 1.5 }", "less than or equal to 1"),
        ("count = 5\ntarget = { covers = 1 }", "unknown key 'covers' in 'target'"),
    ],
)
def test_an_impossible_target_is_a_mistake_in_the_recipe(planned: Callable[..., Plan], lines: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        planned(HEAD + lines)


def test_a_sampler_without_combinations_cannot_be_covered(planned: Callable[..., Plan]) -> None:
    text = HEAD.replace('use = "grid"', 'use = "product"\na = { use = "lines", lines = ["x"], field = "thing" }').replace(
        'thing = ["cat", "dog", "owl", "eel"]\nplace = ["sea", "hill"]\n',
        'b = { use = "lines", lines = ["x"], field = "place" }\n',
    )
    with pytest.raises(RecipeError, match="needs a sampler that combines lists of values"):
        planned(text + "count = 5\ntarget = { coverage = 0.9 }")


def test_a_limited_run_has_no_target(planned: Callable[..., Plan]) -> None:
    (step,) = planned(HEAD + "count = 100\ntarget = { coverage = 0.9 }", limit=3).steps
    assert step.stage.count == 3  # type: ignore[attr-defined]
    assert step.stage.target is None  # type: ignore[attr-defined]


class Flaky(Teacher):
    """Begins half of its replies alike; while `down`, it refuses some requests."""

    name: ClassVar[str] = "flaky"
    down: ClassVar[bool] = False

    async def complete(self, request: Request) -> Reply:
        n = request.sample
        if self.down and (n in (100, 300) or n > 560):
            raise RequestRefused("it is down")
        opening = "Once upon a time there" if n % 2 else f"Number {n} came to be"
        return Reply(f"{opening} {request.messages[-1].content} {n}", 1, 1)

    def price(self) -> Price:
        return Price(0, 0)


class Trying:
    """A plugin with this teacher."""

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Flaky]


def test_a_run_with_failures_accepts_the_same_documents_in_the_end(
    planned: Callable[..., Plan], plugins: Plugins, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance depends on the parts before: all parts after a repeated one are repeated as well."""
    plugins.add("try", Trying())
    text = re.sub(r'use = "fake"\nreplies = .*', 'use = "try/flaky"', HEAD)
    plan = planned(text + "count = 600\ntarget = { openings = 0.1 }\nmax_failures = 0.003\n")
    monkeypatch.setattr(Flaky, "down", True)
    with pytest.raises(TextbookgenError, match="documents failed"):
        run_plan(plan, Workspace(folder / "work"), plugins, executor="serial")
    parts = len(list((folder / "work" / "steps").glob("tales-*/data/*.parquet")))
    assert parts == 2, "two parts were written, each with a failure"
    monkeypatch.setattr(Flaky, "down", False)
    run_plan(plan, Workspace(folder / "work"), plugins, executor="serial")
    run_plan(plan, Workspace(folder / "undisturbed" / "work"), plugins, executor="serial")
    assert texts(folder) == texts(folder / "undisturbed")
    assert len(texts(folder)) == 600


PASSAGES = """
[recipe]
name = "passages"
[teacher.parrot]
use = "fake"
replies = ["{prompt}"]
[stage.numbers]
use = "toy/numbers"
count = 30
[sampler.mixed]
use = "product"
topic = { use = "grid", thing = ["cat", "dog"] }
noise = { use = "passages", from = "numbers", words = 3, min_words = 2, field = "place" }
[stage.tales]
use = "toy/echo"
teacher = "parrot"
sampler = "mixed"
count = 60
"""


def test_a_sampler_draws_passages_from_an_earlier_stage(ran: Ran, planned: Callable[..., Plan], folder: Path) -> None:
    run = ran(PASSAGES)
    rows = pl.concat([pl.read_parquet(file) for file in (folder / "work" / "steps").glob("tales-*/data/*.parquet")])
    drawn = rows["draw"].str.json_path_match("$.place").to_list()
    assert all(place.split()[-1] in ("even", "odd", "is") or place.split()[0] == "number" for place in drawn)
    assert len(set(rows["draw"].str.json_path_match("$.place_id"))) == 30
    assert all(f"by the {place}." in text for place, text in zip(drawn, rows["text"], strict=True))
    fewer = planned(PASSAGES.replace("count = 30", "count = 29"))
    assert fewer.steps[1].fingerprint != planned(PASSAGES).steps[1].fingerprint, "the input is part of the fingerprint"
    assert run.summary().steps[1].rows_out == 60


class Plugged(Sampler):
    """A plugin's sampler."""

    name: ClassVar[str] = "plugged"
    thing: str = "cat"

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, str]:
        return {"thing": self.thing, "place": f"place {n}"}


class Plugs:
    """A plugin with it."""

    @hookimpl
    def samplers(self) -> list[type[Sampler]]:
        return [Plugged]


def test_samplers_can_contain_samplers_of_plugins(planned: Callable[..., Plan], plugins: Plugins) -> None:
    plugins.add("plugs", Plugs())
    text = HEAD.replace('use = "grid"\nthing = ["cat", "dog", "owl", "eel"]\nplace = ["sea", "hill"]\n', "NESTED")
    nested = "use = 'fresh-openings'\nof = { use = 'product', a = { use = 'plugs/plugged', thing = 'dog' } }\n"
    (step,) = planned(text.replace("NESTED", nested) + "count = 5").steps
    assert step.sampler is not None
    drawn = pickle.loads(pickle.dumps(step.sampler.options)).draw(3, Random(0), AcceptedStats())
    assert drawn == {"thing": "dog", "place": "place 3", "avoid_openings": []}
    with pytest.raises(RecipeError, match="one of fresh-openings"):
        planned(text.replace("NESTED", nested.replace("plugs/plugged", "plugs/unplugged")) + "count = 5")


def test_passages_of_an_unknown_stage_are_reported(planned: Callable[..., Plan]) -> None:
    with pytest.raises(RecipeError, match="no earlier stage is named 'nowhere'"):
        planned(PASSAGES.replace('from = "numbers"', 'from = "nowhere"'))


def test_a_document_that_does_not_show_its_drawn_value_covers_no_cell() -> None:
    stats = AcceptedStats(grid=Grid(("thing", "place"), 4))
    stats.add({"thing": "cat", "place": "sea"}, "A cat.", {"thing": "cat"})
    stats.add({"thing": "owl", "place": "sea"}, "A cat.", {"thing": None})
    assert list(stats.cells) == [("cat", "sea")] and stats.attempted[("owl", "sea")] == 1
    assert stats.draws == {"thing": Counter(cat=1), "place": Counter(sea=2)} and stats.documents == 2


def test_least_covered_draws_more_of_what_documents_seldom_show() -> None:
    """A teacher that writes about cats when it is asked for owls leaves owls rare, however often they are drawn."""
    sampler = LeastCoveredSampler(thing=["cat", "owl"])
    stats = AcceptedStats(grid=sampler.grid())
    for n in range(200):
        draw = sampler.draw(n, Random(n), stats)
        is_shown = draw["thing"] == "cat" or n % 5 == 0
        stats.add(draw, "text", {"thing": draw["thing"] if is_shown else None})
    asked = Counter(sampler.draw(n, Random(n), stats)["thing"] for n in range(1_000))
    assert stats.draws["thing"]["owl"] < stats.draws["thing"]["cat"]
    assert asked["owl"] > 2 * asked["cat"]
    blind = AcceptedStats(grid=sampler.grid())
    for n in range(200):
        blind.add(sampler.draw(n, Random(n), blind), "text")
    assert abs(blind.draws["thing"]["owl"] - blind.draws["thing"]["cat"]) < 20
