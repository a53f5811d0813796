"""Draw the compositions of the benchmark `exercises-heldout` from what the teacher would write without it.

    python plugins/textbookgen-procedural/benchmarks/draw_held_out.py --exercises 12000 --out held_out.txt

Exercises are written for draws of `textbooks/function-names` as in `recipes/phi1.toml`, with nothing held out. Those of two
steps are gone through in order; one becomes an item if

- exercises show each of its primitives often enough, and the first often enough as a first step, the second as a last one;
- few exercises have a body like its own (a match rate of 0.8 or more), so that holding it out takes little away;
- most exercises that show its primitives remain after those of all items so far are taken away;
- no item so far has its syntax tree, and few have its primitives;
- asserts distinguish it from similar programs, and its lines are short.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from unittest.mock import patch

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from textbookgen_procedural import compositions, exercises, named_exercises
from textbookgen_procedural.compositions import Composition, Step
from textbookgen_procedural.data_files import words
from textbookgen_procedural.heldout_benchmark import MAX_LINE_WORDS, rivals
from textbookgen_procedural.reserved_trees import MAX_RATE, body_tree
from textbookgen_procedural.value_types import PARAMETER_TYPES, VARIABLES
from textbookgen_textbooks.function_names import FunctionNames

from textbookgen import AcceptedStats

HEADER = """\
# The items of the benchmark `exercises-heldout`, in order: the function's name, and two steps separated by `>`, each with its
# option. No text that the teacher writes applies the second primitive of a line right after its first, and none has a body with
# a match rate of 0.8 or more to an item (`reserved_trees.py`). A fixed list, drawn once from the teacher's own exercises by
# `benchmarks/draw_held_out.py`.
"""
ITEMS = 200
MIN_SHARE = 0.002  # of all exercises that show a primitive anywhere; in first and in last place, half of it
MAX_SIMILAR_SHARE = 0.00225  # of all exercises that are like one item
MIN_REMAINING_SHARE = 0.6  # of the exercises that show a primitive in its place
MAX_ITEMS_PER_PRIMITIVE = 7
MIN_NODES = 9

Written = tuple[str, tuple[Step, ...], str]


def write_exercises(count: int) -> list[Written]:
    """Return name, steps and syntax tree of exercises that are written with nothing held out."""
    sampler, written = FunctionNames(difficulties=(1, 2), unqualified_share=0.6), []
    free = patch.object(compositions, "_held_out_pairs", frozenset), patch.object(exercises, "is_reserved", lambda body: False)
    with free[0], free[1]:
        for n in range(count):
            draw = sampler.draw(n, Random(f"held-out/{n}"), AcceptedStats())
            first, *more = draw["argument_types"]
            request = named_exercises.Request(
                draw["function_name"], draw["concept"], draw["difficulty"], PARAMETER_TYPES[first], more[0] if more else ""
            )
            exercise = named_exercises.draw_named_exercise(Random(f"held-out/{n}"), request)
            lines = [line.removeprefix("    ") for line in exercise.solution.splitlines()]
            written.append((exercise.name, exercise.composition.steps, body_tree(lines)))
    return written


class Shown:
    """How often exercises show each primitive in each place, and how many do so whose trees are not taken away."""

    def __init__(self, written: list[Written]) -> None:
        self.weights = Counter(tree for *_, tree in written)
        self.trees = list(self.weights)
        self.share = np.array([self.weights[tree] for tree in self.trees]) / len(written)
        self.places: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        number = {tree: n for n, tree in enumerate(self.trees)}
        for _, steps, tree in written:
            names = [step.primitive.name for step in steps]
            places = [("anywhere", name) for name in names]
            places += [("first", names[0]), ("last", names[-1])] if len(names) > 1 else []
            for place in places:
                self.places[place][number[tree]] += 1
        self.size = len(written)

    def of(self, place: str, name: str, taken: np.ndarray | None = None) -> float:
        """Return the share of all exercises that show a primitive in a place, without those of the trees taken away."""
        counts = self.places[place, name]
        return sum(count for tree, count in counts.items() if taken is None or not taken[tree]) / self.size

    def is_often(self, first: str, second: str) -> bool:
        """Return whether both primitives of an item are shown often enough."""
        shares = self.of("anywhere", first), self.of("anywhere", second)
        places = self.of("first", first), self.of("last", second)
        return min(shares) >= MIN_SHARE and min(places) >= MIN_SHARE / 2

    def remains(self, first: str, second: str, taken: np.ndarray) -> bool:
        """Return whether enough exercises show both primitives of an item once some trees are taken away."""
        return all(
            self.of(place, name, taken) >= max(MIN_REMAINING_SHARE * self.of(place, name), MIN_SHARE / 2)
            for place, name in (("first", first), ("last", second))
        )


def candidates(written: list[Written]) -> list[tuple[str, Composition, str]]:
    """Return names, compositions and trees of the exercises of two steps and one parameter, each pair of primitives once."""
    by_pair: dict[tuple[str, ...], tuple[str, Composition, str]] = {}
    for function, steps, _ in written:
        names = tuple(step.primitive.name for step in steps)
        has_parameter = any(step.option.is_parameter for step in steps)
        if len(names) != 2 or has_parameter or names in by_pair or ">".join(names) in words("taught pairs"):
            continue
        composition = Composition(steps, VARIABLES[steps[0].primitive.input_type][0])
        body = composition.body()
        tree = body_tree(body)
        if len(tree) >= MIN_NODES and all(len(re.findall(r"\w+", line)) < MAX_LINE_WORDS for line in body):
            by_pair[names] = function, composition, tree
    return list(by_pair.values())


def draw_items(written: list[Written]) -> dict[str, Composition]:
    """Return the items by the names of their functions."""
    shown, items = Shown(written), dict[str, Composition]()
    taken, used, per_name = np.zeros(len(shown.trees), dtype=bool), set[str](), Counter[str]()
    for function, composition, tree in candidates(written):
        first, second = (step.primitive.name for step in composition.steps)
        if (
            function in items
            or tree in used
            or max(per_name[first], per_name[second]) >= MAX_ITEMS_PER_PRIMITIVE
            or not shown.is_often(first, second)
        ):
            continue
        like = cdist([tree], shown.trees, scorer=Levenshtein.normalized_similarity)[0] >= MAX_RATE
        if shown.share[like].sum() > MAX_SIMILAR_SHARE or not shown.remains(first, second, taken | like):
            continue
        rngs = (Random(n) for n in range(20))
        if not any(exercises.find_cases(rng, composition.steps, 4, rivals(composition.steps)) for rng in rngs):
            continue
        items[function] = composition
        taken |= like
        used.add(tree)
        per_name.update((first, second))
        if len(items) == ITEMS:
            break
    types = Counter(item.input_type for item in items.values())
    print(
        f"{len(items)} items of {len(per_name)} primitives, {dict(types)}; exercises like one: {shown.share[taken].sum():.1%}"
    )
    return items


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exercises", type=int, default=12_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    lines = [
        f"{name}: " + " > ".join(f"{step.primitive.name} {step.option.code}".rstrip() for step in item.steps)
        for name, item in draw_items(write_exercises(options.exercises)).items()
    ]
    options.out.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
