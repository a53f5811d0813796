"""The held-out benchmark: right solutions, asserts that reject simpler programs, and no overlap with training."""

from __future__ import annotations

import itertools
import re
from random import Random

import polars as pl
import pytest
from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule
from textbookgen_procedural.compositions import omissions, pair_is_held_out, run_steps
from textbookgen_procedural.exercises import draw_exercise
from textbookgen_procedural.held_out_steps import held_out_steps
from textbookgen_procedural.heldout_benchmark import HeldOutExercises, open_heldout
from textbookgen_textbooks.function_names import FunctionNames

from textbookgen.api.errors import PluginError
from textbookgen.api.sampler import AcceptedStats


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


def test_nothing_that_is_written_has_a_body_like_an_items(ask):
    """By the measure of `decontamination/overlap`, at its lowest rate, without the filter."""
    items = [Problem("held", str(n), item.prompt, item.solution) for n, item in enumerate(HeldOutExercises().items())]
    rule = SyntaxTreeRule(items, min_rate=0.8)
    assert len(set(rule.trees[0])) == 200
    sampler, texts = FunctionNames(difficulties=(1, 2, 3)), []
    for n in range(500):
        code = ask("exercise", sampler.draw(n, Random(f"apart/{n}"), AcceptedStats())).split("```")[1].removeprefix("python\n")
        texts.append(code.split("\nassert ")[0])
    others = [draw_exercise(Random(n), f"solve_{n}", n % 5 + 1) for n in range(500)]  # as pages and requests have them
    texts += [exercise.prompt + exercise.solution for exercise in others]
    found = list(rule.find(pl.Series(texts)))
    assert not found, [(finding.detail, texts[finding.row]) for finding in found]
    planted = next(iter(HeldOutExercises().items()))
    assert len(list(rule.find(pl.Series([planted.prompt + planted.solution])))) == 1


def test_the_list_of_held_out_steps_is_what_the_benchmark_asks():
    listed = [tuple(step.primitive.name for step in steps) for steps in held_out_steps()]
    asked = [tuple(step.primitive.name for step in each.composition.steps) for each in HeldOutExercises().exercises()]
    assert asked == listed and len(listed) == 200
