"""Steering: what it takes to keep a teacher that collapses onto a few openings from a corpus that all begins alike.

    python benchmarks/steering.py --documents 1000 --seeds 3

The teacher is a program with habits, stated here so that anybody may judge them: each reply begins with one of ten
openings with probability 0.6 (the k-th of them in proportion to 1/k, so the commonest is a fifth of all replies), and
otherwise with words of its own. Where the prompt forbids openings, it heeds the list with probability 0.8, and then
begins again until its opening is not on it: forbidding a few only moves it to the others. One reply in twenty forgets
what it was asked for, and no recipe can use it.

Perfect steering would waste nothing but those: documents / 0.95 requests. The target is no opening in more than 2 % of
what is kept, and 95 % of a grid of 900 combinations covered. Figures are counted from what the run wrote, not from what
it says of itself. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Draw, Filter, Generator, Stage
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

COLLAPSE, HEEDS, FORGETS = 0.6, 0.8, 0.05
ANIMALS = ("cats", "dogs", "owls", "eels", "bees", "hens", "pigs", "mice", "ants", "cows")
OPENINGS = tuple(f"once upon a time {animal}" for animal in ANIMALS)
WORDS = tuple(f"word{n}" for n in range(3_000))
SIDE = 30  # of the grid
PROMPT = """Tell of {{ hero }} in {{ place }}.
{% if avoid_openings is defined and avoid_openings %}Do not begin with any of these:
{% for opening in avoid_openings %}- {{ opening }}
{% endfor %}{% endif %}"""


class Habits(Teacher):
    """A program that begins most of its replies alike, and heeds what is forbidden most of the time."""

    name: ClassVar[str] = "habits"
    stand_in = True
    seed: int = Field(0, description="another seed is another teacher of the same habits")

    async def complete(self, request: Request) -> Reply:
        """A reply made from the request alone."""
        prompt = request.messages[-1].content
        rng = Random(sha256(f"{self.seed}/{request.sample}/{prompt}".encode()).hexdigest())
        forbidden = {line[2:] for line in prompt.splitlines() if line.startswith("- ")}
        heeded = forbidden if rng.random() < HEEDS else set()
        opening = self._opening(rng)
        while opening in heeded:
            opening = self._opening(rng)
        about = "something else" if rng.random() < FORGETS else prompt.splitlines()[0]
        return Reply(f"{opening} {about} {' '.join(rng.choices(WORDS, k=20))}", len(prompt.split()), 40)

    @staticmethod
    def _opening(rng: Random) -> str:
        if rng.random() < COLLAPSE:
            return rng.choices(OPENINGS, cum_weights=list(accumulate(1 / k for k in range(1, len(OPENINGS) + 1))))[0]
        return " ".join(rng.choices(WORDS, k=5))

    def price(self) -> Price:
        """Nothing."""
        return Price(0, 0)


class Tale(Generator):
    """Writes what the teacher says."""

    name: ClassVar[str] = "tale"
    prompt: str = Field("tale.md.j2", description="the prompt")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The reply as it is."""
        return [{"text": reply.text}]


class OnTopic(Filter):
    """Keeps what tells of what it was asked for."""

    name: ClassVar[str] = "on-topic"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts."""
        keep = pl.col("text").str.contains("Tell of", literal=True)
        return docs.select("id", keep=keep, reason=pl.when(~keep).then(pl.lit("forgot")))


class BenchmarkPlugin:
    """A plugin with these classes."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        """The stages."""
        return [Tale, OnTopic]

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        """The teacher."""
        return [Habits]


GRID = f"hero = {[f'hero {n}' for n in range(SIDE)]}\nplace = {[f'place {n}' for n in range(SIDE)]}"
INNER = GRID.replace("\n", ", ")
SAMPLERS = {
    "drawn at random": ("use = 'words'\n" + GRID, ""),
    "a grid": ("use = 'grid'\n" + GRID, ""),
    "steered": (
        f"use = 'fresh-openings'\nshare = 0.01\nmax_openings = 20\nof = {{ use = 'uncovered', {INNER} }}",
        "target = { openings = 0.02, coverage = 0.95 }",
    ),
}
RECIPE = """
[recipe]
name = "steering"
seed = {seed}
[teacher.habits]
use = "benchmark/habits"
seed = {seed}
[sampler.draws]
{sampler}
[stage.tales]
use = "benchmark/tale"
teacher = "habits"
sampler = "draws"
count = {count}
accept = ["benchmark/on-topic"]
{target}
"""


def run(how: str, seed: int, count: int) -> dict[str, Any]:
    """What one recipe came to: requests, the commonest opening's share of what is kept, the share of the grid."""
    sampler, target = SAMPLERS[how]
    plugins = Plugins([])
    plugins.add("benchmark", BenchmarkPlugin())
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        (folder / "tale.md.j2").write_text(PROMPT, encoding="utf-8")
        file = folder / "steering.toml"
        file.write_text(RECIPE.format(seed=seed, sampler=sampler, count=count, target=target), encoding="utf-8")
        workspace = Workspace(folder / "work")
        plan = make_plan(read_recipe(file), plugins)
        (record,) = run_plan(plan, workspace, plugins, executor="serial").summary().steps
        steps = workspace.step(plan.steps[0].address)
        rows = pl.concat([pl.read_parquet(item) for item in steps.parts("data")])
        verdicts = pl.concat([pl.read_parquet(item) for item in steps.parts("verdicts")])
    kept = rows.join(verdicts.filter("keep"), on="id", how="semi")
    openings = Counter(" ".join(text.lower().split()[:5]) for text in kept["text"])
    cells = {(draw["hero"], draw["place"]) for draw in map(json.loads, kept["draw"])}
    perfect = count / (1 - FORGETS)
    return {
        "how": how,
        "seed": seed,
        "kept": len(kept),
        "requests": record.requests,
        "of_perfect": round(record.requests / perfect, 3),
        "commonest_opening": round(max(openings.values()) / len(kept), 4),
        "coverage": round(len(cells) / SIDE**2, 4),
        "notes": " ".join(record.notes),
    }


def main() -> None:
    """Prints a table, and the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=1_000)
    options.add_argument("--seeds", type=int, default=3)
    given = options.parse_args()
    result = [run(how, seed, given.documents) for how in SAMPLERS for seed in range(1, given.seeds + 1)]
    print("| how | seed | kept | requests | of what perfect steering needs | commonest opening | combinations covered |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for item in result:
        shares = f"{item['commonest_opening']:.1%} | {item['coverage']:.1%}"
        print(f"| {item['how']} | {item['seed']} | {item['kept']} | {item['requests']} | {item['of_perfect']:.2f} | {shares} |")
    print(json.dumps({"documents": given.documents, "runs": result}))


if __name__ == "__main__":
    main()
