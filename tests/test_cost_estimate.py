"""The cost estimate: what a run will cost, extrapolated from its first documents without any request."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from textbookgen.api.generator import Ask, Draw, Generator
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.llm import Usage
from textbookgen.provenance.cost_estimate import CostSample, StepEstimate, estimate_cost
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

TAILS: dict[str, Callable[[random.Random], float]] = {
    "lognormal 0.4": lambda rng: rng.lognormvariate(5.7, 0.4),
    "gamma 4": lambda rng: rng.gammavariate(4, 100),
    "pareto 3, cut at 2000": lambda rng: min(2000, 150 * rng.paretovariate(3)),
}


class Rambler(Teacher):
    """A teacher whose replies have lengths of a heavy tail."""

    name = "rambler"

    def price(self) -> Price:
        return Price(1.0, 4.0)

    def max_output_tokens(self) -> int:
        return 5_000

    async def complete(self, request: Request) -> Reply:
        prompt = "\n".join(turn.content for turn in request.messages)
        rng = random.Random(f"{request.sample}/{prompt}")
        length = int(rng.lognormvariate(4, 0.4)) + 1
        read = len(prompt.split())
        return Reply(f"{rng.getrandbits(64)} " + "e " * length, read, length, self.price().cost(read, length))


class Twice(Generator):
    """Asks, and asks about the reply."""

    name = "twice"
    prompt: str = "echo.md.j2"

    async def generate(self, draw: Draw, ask: Ask) -> list[dict[str, str]]:
        first = await ask(f"About {draw['document']['text']}")
        second = await ask(f"More about {first.text}", sample=1)
        return [{"text": second.text}]


class CostlyPlugin:
    """A plugin with both."""

    @hookimpl
    def stages(self) -> list[type[Generator]]:
        return [Twice]

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        return [Rambler]


RECIPE = """
[recipe]
name = "costly"
[teacher.rambler]
use = "costly/rambler"
[sampler.things]
use = "grid"
thing = ["cat", "dog", "owl", "eel"]
place = ["sea", "hill"]
[stage.echoes]
use = "toy/echo"
teacher = "rambler"
sampler = "things"
count = 300
[stage.half]
use = "toy/echo"
teacher = "rambler"
sampler = "things"
count = 60
seed = 1
accept = [{ use = "toy/contains", word = "e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e e" }]
[stage.more]
use = "costly/twice"
teacher = "rambler"
from = "echoes"
prompt = "echo.md.j2"
"""


@pytest.mark.parametrize("tail", TAILS)
def test_twenty_documents_estimate_the_cost_within_15_percent_in_nine_of_ten_cases(tail: str) -> None:
    close = covered = 0
    for seed in range(400):
        rng = random.Random(seed)
        costs = [(300 * 0.15 + TAILS[tail](rng) * 0.6) / 1e6 for _ in range(2_000)]  # a prompt of 300 tokens, at a known price
        sample = CostSample.of([{"one": Usage(from_ledger=1, saved_usd=cost)} for cost in costs[:20]])
        estimated, actual = 2_000 * sample.cost_usd, sum(costs)
        close += abs(estimated - actual) <= 0.15 * actual
        covered += abs(estimated - actual) <= estimated * sample.relative_margin
    assert close >= 0.9 * 400
    assert covered >= 0.8 * 400  # a tail that a sample of twenty has not seen cannot be in its error bar


def test_a_limited_run_estimates_the_whole_run(folder: Path, plugins: Plugins, planned: Callable) -> None:
    plugins.add("costly", CostlyPlugin())
    workspace = Workspace(folder / "work")
    blind = {each.step.label: each for each in estimate_cost(planned(RECIPE), workspace).steps}
    run_plan(planned(RECIPE, limit=20), workspace, plugins, executor="serial")
    steps = {each.step.label: each for each in estimate_cost(planned(RECIPE), workspace).steps}
    assert [steps[label].sampled_documents for label in ("echoes", "more")] == [20, 20]
    assert steps["half"].sampled_documents >= 20
    assert blind["echoes"].sampled_documents == 0 and blind["echoes"].margin_usd is None

    summary = run_plan(planned(RECIPE), Workspace(folder / "whole"), plugins, executor="serial").summary()
    assert steps["more"].volume.requests == summary.step("more").requests == 600  # two per document
    for label in ("echoes", "more", "half"):
        _is_near(steps[label], summary.step(label).cost_usd)


def _is_near(estimated: StepEstimate, actual: float) -> None:
    assert estimated.cost_usd is not None and estimated.margin_usd is not None
    assert abs(estimated.cost_usd - actual) <= 0.3 * actual, estimated.step.label
    assert 0 < estimated.margin_usd < 0.5 * actual
