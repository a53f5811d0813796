"""The held-out benchmark: right solutions, asserts that reject simpler programs, and no overlap with training."""

from __future__ import annotations

import itertools
import re
from random import Random

import pytest
from textbookgen_procedural.compositions import omissions, pair_is_held_out, run_steps
from textbookgen_procedural.exercises import draw_exercise
from textbookgen_procedural.heldout_benchmark import HeldOutExercises, open_heldout

from textbookgen.api.errors import PluginError


def test_solutions_pass_and_programs_without_a_step_fail():
    for item, exercise in zip(HeldOutExercises().items(), HeldOutExercises().exercises(), strict=True):
        exec(item.prompt + item.solution + "\n" + item.tests, {})
        assert item.prompt.endswith('"""\n') and f"def {item.entry_point}(" in item.prompt
        assert len(item.tests.splitlines()) >= 4
        for shorter in omissions(exercise.composition.steps):
            with pytest.raises(AssertionError):
                exec(item.tests, {item.entry_point: lambda value, shorter=shorter: run_steps(shorter, value)})


def test_every_pair_of_steps_is_held_out_and_no_sequence_repeats():
    sequences = [tuple(step.primitive.name for step in each.composition.steps) for each in HeldOutExercises().exercises()]
    assert len(set(sequences)) == len(sequences) == 200
    assert all(pair_is_held_out(*pair) for sequence in sequences for pair in itertools.pairwise(sequence))


def test_a_larger_benchmark_begins_with_the_smaller_one():
    assert list(HeldOutExercises(count=20).items()) == list(HeldOutExercises(count=60).items())[:20]
    benchmark = open_heldout("exercises-heldout:30")
    assert benchmark is not None and benchmark.name == "exercises-heldout:30"
    assert len(list(benchmark.items())) == 30


@pytest.mark.parametrize("count", [0, 100_000])
def test_sizes_out_of_range_are_refused(count):
    with pytest.raises(PluginError, match="exercises"):
        open_heldout(f"exercises-heldout:{count}")


def test_no_stop_string_cuts_a_solution():
    benchmark = HeldOutExercises()
    for item in benchmark.items():
        assert not any(stop in "\n" + item.solution for stop in benchmark.stop)


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[n : n + 13]) for n in range(len(words) - 12)}


def test_training_shares_almost_no_13_gram_with_it():
    held = set().union(*(grams(item.prompt + item.solution + item.tests) for item in HeldOutExercises().items()))
    names = [
        f"{verb}_{noun}" for verb in ("count", "sort", "find", "mix") for noun in ("eggs", "boats", "rows", "tags", "beads")
    ]
    hits = 0
    for seed in range(3000):
        rng = Random(seed)
        hits += bool(grams(draw_exercise(rng, rng.choice(names), rng.randint(1, 5)).program()) & held)
    assert hits / 3000 < 0.01
