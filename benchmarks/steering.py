"""Steering: how many requests a diverse corpus takes from a teacher that collapses onto a few openings.

    python benchmarks/steering.py --documents 1000 --seeds 3

The teacher is a program with these habits: with probability 0.6 a reply begins with one of ten openings, the k-th in
proportion to 1/k (the most frequent has a fifth of all replies), and otherwise with random words. If the prompt forbids
openings, it obeys with probability 0.8 and then draws again until its opening is allowed, so forbidding a few openings only
shifts replies to the others. One reply in twenty is off topic and must be rejected.

Perfect steering wastes only those: documents / 0.95 requests. The target is no opening in more than 2 % of the accepted
documents, and 95 % of 900 combinations covered. All figures are counted from the documents on disk, not taken from the
report. The last line is JSON.
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

from textbookgen.api.generator import Draw, Generator
from textbookgen.api.hookspecs import hookimpl
from textbookgen.api.stage import Filter, Stage
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

P_COLLAPSE, P_OBEY, P_OFF_TOPIC = 0.6, 0.8, 0.05
ANIMALS = ("cats", "dogs", "owls", "eels", "bees", "hens", "pigs", "mice", "ants", "cows")
OPENINGS = tuple(f"once upon a time {animal}" for animal in ANIMALS)
WORDS = tuple(f"word{n}" for n in range(3_000))
SIDE = 30  # of the grid
PROMPT = """Write about {{ hero }} in {{ place }}.
{% if avoid_openings is defined and avoid_openings %}Do not begin with any of these:
{% for opening in avoid_openings %}- {{ opening }}
{% endfor %}{% endif %}"""


class Habits(Teacher):
    """A program that starts most replies with one of ten openings, and obeys a list of forbidden ones most of the time."""

    name: ClassVar[str] = "habits"
    stand_in = True
    seed: int = Field(0, description="random seed")

    async def complete(self, request: Request) -> Reply:
        """Return a reply that depends on the request and the seed only."""
        prompt = request.messages[-1].content
        rng = Random(sha256(f"{self.seed}/{request.sample}/{prompt}".encode()).hexdigest())
        forbidden = {line[2:] for line in prompt.splitlines() if line.startswith("- ")}
        avoided = forbidden if rng.random() < P_OBEY else set()
        opening = self._opening(rng)
        while opening in avoided:
            opening = self._opening(rng)
        about = "something else" if rng.random() < P_OFF_TOPIC else prompt.splitlines()[0]
        return Reply(f"{opening} {about} {' '.join(rng.choices(WORDS, k=20))}", len(prompt.split()), 40)

    @staticmethod
    def _opening(rng: Random) -> str:
        if rng.random() < P_COLLAPSE:
            return rng.choices(OPENINGS, cum_weights=list(accumulate(1 / k for k in range(1, len(OPENINGS) + 1))))[0]
        return " ".join(rng.choices(WORDS, k=5))

    def price(self) -> Price:
        """Return a price of zero."""
        return Price(0, 0)


class Tale(Generator):
    """Writes the reply as it is."""

    name: ClassVar[str] = "tale"
    prompt: str = Field("tale.md.j2", description="the prompt")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the reply as one document."""
        return [{"text": reply.text}]


class OnTopic(Filter):
    """Keeps replies that are on topic."""

    name: ClassVar[str] = "on-topic"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the verdicts."""
        keep = pl.col("text").str.contains("Write about", literal=True)
        return docs.select("id", keep=keep, reason=pl.when(~keep).then(pl.lit("off topic")))


class BenchmarkPlugin:
    """A plugin with these classes."""

    @hookimpl
    def stages(self) -> list[type[Stage]]:
        """Return the stages."""
        return [Tale, OnTopic]

    @hookimpl
    def teachers(self) -> list[type[Teacher]]:
        """Return the teacher."""
        return [Habits]


GRID = f"hero = {[f'hero {n}' for n in range(SIDE)]}\nplace = {[f'place {n}' for n in range(SIDE)]}"
INNER = GRID.replace("\n", ", ")
SAMPLERS = {
    "random": ("use = 'words'\n" + GRID, ""),
    "grid": ("use = 'grid'\n" + GRID, ""),
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


def run(sampling: str, seed: int, count: int) -> dict[str, Any]:
    """Run one recipe; return requests, the share of the most frequent opening, and the share of combinations covered."""
    sampler, target = SAMPLERS[sampling]
    plugins = Plugins([])
    plugins.add("benchmark", BenchmarkPlugin())
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
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
    perfect = count / (1 - P_OFF_TOPIC)
    return {
        "sampling": sampling,
        "seed": seed,
        "accepted": len(kept),
        "requests": record.requests,
        "relative_to_perfect": round(record.requests / perfect, 3),
        "top_opening": round(max(openings.values()) / len(kept), 4),
        "coverage": round(len(cells) / SIDE**2, 4),
        "notes": " ".join(record.notes),
    }


def main() -> None:
    """Print a table, and the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=1_000)
    options.add_argument("--seeds", type=int, default=3)
    arguments = options.parse_args()
    result = [run(sampling, seed, arguments.documents) for sampling in SAMPLERS for seed in range(1, arguments.seeds + 1)]
    print("| sampling | seed | accepted | requests | relative to perfect | top opening | combinations covered |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for item in result:
        counts = f"{item['accepted']} | {item['requests']} | {item['relative_to_perfect']:.2f}"
        shares = f"{item['top_opening']:.1%} | {item['coverage']:.1%}"
        print(f"| {item['sampling']} | {item['seed']} | {counts} | {shares} |")
    print(json.dumps({"documents": arguments.documents, "runs": result}))


if __name__ == "__main__":
    main()
