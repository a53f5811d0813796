"""The benchmark `exercises-heldout`: exercises whose every pair of neighbouring steps is absent from the teacher's writing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from textbookgen import Benchmark, BenchmarkItem, PluginError
from textbookgen_procedural.compositions import Step, draw_steps
from textbookgen_procedural.exercises import Exercise, make_exercise
from textbookgen_procedural.held_out_steps import held_out_steps

_NAME = re.compile(r"exercises-heldout(?::(\d+))?")
_MAX_ITEMS = 2_000
_MAX_LINE_WORDS = 10
_THREE_STEP_SHARE = 0.25  # of draws
_MAX_FAILURES = 200  # draws in a row without a new exercise, after which primitives of the next level are used
_VERBS = ("solve", "work", "handle", "treat", "process", "derive", "build", "shape", "refine", "settle", "arrange", "finish")
_NOUNS = ("task", "puzzle", "riddle", "case", "problem", "request", "order", "job", "input", "entry", "record", "batch")


@dataclass
class HeldOutExercises:
    """A fixed list of held-out exercises of two and three steps.

    Attributes:
        name: the benchmark's name.
        count: number of exercises.
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
        """Yield the exercises with their compositions; no sequence of primitives occurs twice.

        The first 200 are those of `data/held_out.txt`, which nothing that the teacher writes resembles. Further ones are drawn,
        with primitives of level 1 until they are used up; of them only the pairs of steps are held out.
        """
        listed = [_listed_exercise(number, steps) for number, steps in enumerate(held_out_steps()[: self.count], 1)]
        yield from listed
        seen = {_names(exercise.composition.steps) for exercise in listed}
        rng = Random("exercises-heldout")
        level, failures = 1, 0
        while len(seen) < self.count:
            exercise = _draw(rng, level, len(seen) + 1, seen)
            failures = 0 if exercise else failures + 1
            if failures == _MAX_FAILURES:
                level, failures = level + 1, 0
            if exercise:
                seen.add(_names(exercise.composition.steps))
                yield exercise


def _listed_exercise(number: int, steps: tuple[Step, ...]) -> Exercise:
    """Return the item of this number, worded by random numbers of its own."""
    attempts = (_write(Random(f"exercises-heldout/{number}/{attempt}"), number, steps) for attempt in range(_MAX_FAILURES))
    return next(exercise for exercise in attempts if exercise)


def _draw(rng: Random, level: int, number: int, seen: set[tuple[str, ...]]) -> Exercise | None:
    steps = draw_steps(rng, 3 if rng.random() < _THREE_STEP_SHARE else 2, level, held_out=True)
    return None if steps is None or _names(steps) in seen else _write(rng, number, steps)


def _write(rng: Random, number: int, steps: tuple[Step, ...]) -> Exercise | None:
    """Return an item of these steps, with a name and phrases drawn for it."""
    worded = tuple(Step(step.primitive, step.option, rng.randrange(len(step.primitive.phrases))) for step in steps)
    name = f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}_{number}"
    exercise = make_exercise(rng, name, worded, rng.randint(4, 6), rivals=_rivals(worded), is_benchmark=True)
    return exercise if exercise and _has_short_lines(exercise) else None


def _names(steps: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(step.primitive.name for step in steps)


def _has_short_lines(exercise: Exercise) -> bool:
    """Return whether no line alone is most of a 13-gram; such lines occur in many programs and look like contamination."""
    return all(len(re.findall(r"\w+", line)) <= _MAX_LINE_WORDS for line in exercise.solution.splitlines())


def _rivals(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
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
    if not 0 < count <= _MAX_ITEMS:
        raise PluginError(f"`{name}` asks for {count} exercises", hint=f"ask for 1 to {_MAX_ITEMS}")
    return HeldOutExercises(name, count)
