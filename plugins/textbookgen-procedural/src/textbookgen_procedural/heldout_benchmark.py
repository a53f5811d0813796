"""The benchmark `exercises-heldout`: exercises of two steps that the teacher's writing shows apart, and never together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from textbookgen import Benchmark, BenchmarkItem, PluginError
from textbookgen_procedural.compositions import Step
from textbookgen_procedural.exercises import Exercise, Form, make_exercise
from textbookgen_procedural.held_out_steps import held_out_items
from textbookgen_procedural.named_exercises import Request, read_name

_NAME = re.compile(r"exercises-heldout(?::(\d+))?")
#: Words on a line of a solution, at most.
MAX_LINE_WORDS = 10
_MAX_ATTEMPTS = 200


@dataclass
class HeldOutExercises:
    """A fixed list of held-out exercises of two steps, with names, parameters and docstrings like the teacher's.

    Attributes:
        name: the benchmark's name.
        count: number of exercises: the first of `data/held_out.txt`.
        stop: strings that end a solution.
    """

    name: str = "exercises-heldout"
    count: int = 200
    stop: tuple[str, ...] = ("\ndef ", "\nclass ", "\nassert", "\nprint", "\nif ", "\n#", "\n@", "\n```", "\n\n\n")

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield the items in a fixed order; a larger benchmark begins with those of a smaller one."""
        for n, exercise in enumerate(self.exercises()):
            yield BenchmarkItem(f"exercises-heldout/{n}", exercise.prompt, exercise.solution, exercise.tests, exercise.name)

    def exercises(self) -> Iterator[Exercise]:
        """Yield the exercises with their compositions; no name and no syntax tree occurs twice."""
        for number, (name, steps) in enumerate(held_out_items()[: self.count], 1):
            rngs = (Random(f"exercises-heldout/{number}/{attempt}") for attempt in range(_MAX_ATTEMPTS))
            yield next(exercise for rng in rngs if (exercise := _write(rng, name, steps)))


def _write(rng: Random, name: str, steps: tuple[Step, ...]) -> Exercise | None:
    """Return an item of this name and these steps, with the parameter that the name asks for and phrases drawn for it."""
    worded = tuple(Step(step.primitive, step.option, rng.randrange(len(step.primitive.phrases))) for step in steps)
    form = Form(variable=read_name(Request(name, "", 1, steps[0].primitive.input_type)).variable)
    exercise = make_exercise(rng, name, worded, rng.randint(4, 6), form, rivals=rivals(worded), is_benchmark=True)
    return exercise if exercise and _has_short_lines(exercise) else None


def _has_short_lines(exercise: Exercise) -> bool:
    """Return whether no line alone is most of a 13-gram; such lines occur in many programs and look like contamination."""
    return all(len(re.findall(r"\w+", line)) <= MAX_LINE_WORDS for line in exercise.solution.splitlines())


def rivals(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Return similar programs: with two steps swapped where the types allow it, and with another option for one step."""
    swapped = [
        (*steps[:place], after, before, *steps[place + 2 :])
        for place, (before, after) in enumerate(pairwise(steps))
        if before.primitive.input_type == before.primitive.output_type == after.primitive.output_type
    ]
    changed = [
        (*steps[:place], Step(step.primitive, option, step.phrase), *steps[place + 1 :])
        for place, step in enumerate(steps)
        for option in step.primitive.options
        if option != step.option
    ]
    return swapped + changed


def open_heldout(name: str) -> Benchmark | None:
    """Return the benchmark of this name, or None if the name is not one of this plugin.

    Raises:
        PluginError: the number of items is out of range.
    """
    match = _NAME.fullmatch(name)
    if not match:
        return None
    if not match[1]:
        return HeldOutExercises()
    count = int(match[1])
    if not 0 < count <= len(held_out_items()):
        raise PluginError(f"`{name}` asks for {count} exercises", hint=f"ask for 1 to {len(held_out_items())}")
    return HeldOutExercises(name, count)
