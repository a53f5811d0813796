"""The forecast: what a run would cost, learnt from its first documents without asking anybody again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Ask, Draw, Generator
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.llm import Usage
from textbookgen.provenance.cost_estimate import Foreseen, Measured, estimate
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
        said = "\n".join(turn.content for turn in request.messages)
        rng = random.Random(f"{request.sample}/{said}")
        length = int(rng.lognormvariate(4, 0.4)) + 1
        read = len(said.split())
        return Reply(f"{rng.getrandbits(64)} " + "e " * length, read, length, self.price().cost(read, length))


class Twice(Generator):
    """Asks, and asks about the reply."""

    name = "twice"
    prompt: str = "echo.md.j2"

    async def generate(self, draw: Draw, ask: Ask) -> list[dict[str, str]]:
        first = await ask(f"About {draw['document']['text']}")
        second = await ask(f"More about {first.text}", sample=1)
        return [{"text": second.text}]


class Told:
    """The two as a plugin."""

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
use = "told/rambler"
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
use = "told/twice"
teacher = "rambler"
from = "echoes"
prompt = "echo.md.j2"
"""


@pytest.mark.parametrize("tail", TAILS)
def test_twenty_documents_tell_the_cost_within_15_percent_nine_times_of_ten(tail: str) -> None:
    close = covered = 0
    for seed in range(400):
        rng = random.Random(seed)
        costs = [(300 * 0.15 + TAILS[tail](rng) * 0.6) / 1e6 for _ in range(2_000)]  # a prompt of 300 tokens, at a known price
        measured = Measured.of([Usage(from_ledger=1, saved_usd=cost) for cost in costs[:20]])
        said, came = 2_000 * measured.cost_usd, sum(costs)
        close += abs(said - came) <= 0.15 * came
        covered += abs(said - came) <= said * measured.margin
    assert close >= 0.9 * 400
    assert covered >= 0.8 * 400  # a tail that a sample of twenty has not seen cannot be in its error bar


def test_a_trial_run_tells_what_the_whole_run_takes(folder: Path, plugins: Plugins, planned: Callable) -> None:
    plugins.add("told", Told())
    workspace = Workspace(folder / "work")
    blind = {each.step.label: each for each in estimate(planned(RECIPE), workspace).steps}
    run_plan(planned(RECIPE, limit=20), workspace, plugins, executor="serial")
    steps = {each.step.label: each for each in estimate(planned(RECIPE), workspace).steps}
    assert [steps[label].measured for label in ("echoes", "more")] == [20, 20]
    assert steps["half"].measured >= 20
    assert blind["echoes"].measured == 0 and blind["echoes"].margin_usd is None

    asked = run_plan(planned(RECIPE), Workspace(folder / "whole"), plugins, executor="serial").summary()
    assert asked is not None
    came = {step["label"]: step for step in asked["steps"]}
    assert steps["more"].volume.requests == came["more"]["requests"] == 600  # two a document
    for label in ("echoes", "more", "half"):
        _is_near(steps[label], came[label]["cost_usd"])


def _is_near(estimated: Foreseen, came: float) -> None:
    assert estimated.cost_usd is not None and estimated.margin_usd is not None
    assert abs(estimated.cost_usd - came) <= 0.3 * came, estimated.step.label
    assert 0 < estimated.margin_usd < 0.5 * came
