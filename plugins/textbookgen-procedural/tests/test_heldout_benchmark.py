"""The held-out benchmark: right solutions, asserts that reject simpler programs, and no overlap with training."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from random import Random

import polars as pl
import pytest
from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule
from textbookgen_procedural.compositions import omissions, pair_is_held_out, run_steps
from textbookgen_procedural.exercises import draw_exercise
from textbookgen_procedural.held_out_steps import held_out_steps
from textbookgen_procedural.heldout_benchmark import HeldOutExercises, open_heldout
from textbookgen_procedural.named_exercises import Request, draw_named_exercise, read_name
from textbookgen_procedural.value_types import PARAMETER_TYPES
from textbookgen_textbooks.function_names import FunctionNames

from textbookgen.api.errors import PluginError
from textbookgen.api.sampler import AcceptedStats


def test_solutions_pass_and_programs_without_a_step_fail():
    for item, exercise in zip(HeldOutExercises().items(), HeldOutExercises().exercises(), strict=True):
        exec(item.prompt + item.solution + "\n" + item.tests, {})
        assert item.prompt.endswith('"""\n') and f"def {item.entry_point}(" in item.prompt
        assert len(item.tests.splitlines()) >= 4 and len(exercise.composition.steps) == 2
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


def test_items_are_named_and_worded_like_what_the_teacher_writes():
    exercises = list(HeldOutExercises().exercises())
    assert len({exercise.name for exercise in exercises}) == 200
    for exercise in exercises:
        plan = read_name(Request(exercise.name, "", 1, exercise.composition.input_type))
        assert exercise.composition.variable == plan.variable and exercise.composition.steps[-1].primitive.name in plan.last
        assert exercise.solution == "".join(f"    {line}\n" for line in exercise.composition.body())


def test_training_shows_both_steps_of_every_item_apart():
    """Of 4,000 exercises as in `recipes/phi1.toml`; its 24,000 have six times as many."""
    sampler = FunctionNames(difficulties=(1, 2), unqualified_share=0.6)
    counts: Counter[str] = Counter()
    for n in range(4_000):
        drawn = sampler.draw(n, Random(f"apart/{n}"), AcceptedStats())
        types = drawn["argument_types"]
        further = types[1] if len(types) > 1 else ""
        request = Request(drawn["function_name"], drawn["concept"], drawn["difficulty"], PARAMETER_TYPES[types[0]], further)
        exercise = draw_named_exercise(Random(f"apart/{n}"), request)
        counts.update({step.primitive.name for step in exercise.composition.steps})
    asked = {step.primitive.name for steps in held_out_steps() for step in steps}
    assert min(counts[name] for name in asked) >= 4, sorted((counts[name], name) for name in asked)[:10]


@pytest.mark.parametrize("count", [0, 201, 100_000])
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
