"""The benchmark `exercises-heldout`: exercises whose every pair of neighbouring steps is kept from all the teacher writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from textbookgen import Benchmark, BenchmarkItem, PluginError
from textbookgen_procedural.compositions import Step, draw_steps
from textbookgen_procedural.exercises import Exercise, make_exercise

_NAME = re.compile(r"exercises-heldout(?::(\d+))?")
_MOST = 2_000
_LONGEST_LINE = 10  # words
_THREE_STEPS = 0.25  # share of draws
_VAIN = 200  # draws in vain, after which primitives of a higher level are let in
_VERBS = ("solve", "work", "handle", "treat", "process", "derive", "build", "shape", "refine", "settle", "arrange", "finish")
_THINGS = ("task", "puzzle", "riddle", "case", "problem", "request", "order", "job", "input", "entry", "record", "batch")


@dataclass
class HeldOut:
    """So many held-out exercises of two and three steps, the same for everybody."""

    name: str = "exercises-heldout"
    count: int = 200
    stop: tuple[str, ...] = ("\ndef ", "\nclass ", "\nassert", "\nprint", "\nif ", "\n#", "\n@", "\n```", "\n\n\n")

    def items(self) -> Iterator[BenchmarkItem]:
        """The exercises in a fixed order; a larger benchmark begins with the smaller one's."""
        for n, exercise in enumerate(self.exercises()):
            yield BenchmarkItem(f"exercises-heldout/{n}", exercise.prompt, exercise.solution, exercise.tests, exercise.name)

    def exercises(self) -> Iterator[Exercise]:
        """The exercises with their compositions; no sequence of primitives comes twice.

        Primitives are those of level 1 until they are used up, which a benchmark of 300 does not reach.
        """
        seen: set[tuple[str, ...]] = set()
        rng = Random("exercises-heldout")
        level, vain = 1, 0
        while len(seen) < self.count:
            exercise = _draw(rng, level, len(seen) + 1, seen)
            vain = 0 if exercise else vain + 1
            if vain == _VAIN:
                level, vain = level + 1, 0
            if exercise:
                seen.add(tuple(step.primitive.name for step in exercise.composition.steps))
                yield exercise


def _draw(rng: Random, level: int, number: int, seen: set[tuple[str, ...]]) -> Exercise | None:
    steps = draw_steps(rng, 3 if rng.random() < _THREE_STEPS else 2, level, held_out=True)
    if steps is None or tuple(step.primitive.name for step in steps) in seen:
        return None
    name = f"{rng.choice(_VERBS)}_{rng.choice(_THINGS)}_{number}"
    exercise = make_exercise(rng, name, steps, rng.randint(4, 6), rivals=_rivals(steps))
    return exercise if exercise and _is_terse(exercise) else None


def _is_terse(exercise: Exercise) -> bool:
    """Whether no line alone makes most of a 13-gram; those lines stand in many programs and would look like contamination."""
    return all(len(re.findall(r"\w+", line)) <= _LONGEST_LINE for line in exercise.solution.splitlines())


def _rivals(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Other programs near by: two steps swapped where the kinds allow it, and each parameter replaced by another."""
    swapped = [
        (*steps[:place], after, before, *steps[place + 2 :])
        for place, (before, after) in enumerate(pairwise(steps))
        if before.primitive.takes == before.primitive.gives == after.primitive.gives
    ]
    changed = [
        (*steps[:place], Step(step.primitive, option, step.phrase), *steps[place + 1 :])
        for place, step in enumerate(steps)
        for option in step.primitive.options
        if option != step.option
    ]
    return swapped + changed


def open_heldout(name: str) -> Benchmark | None:
    """The benchmark of this name, or None if the name is another's.

    Raises:
        PluginError: the number after the colon is none that can be had.
    """
    match = _NAME.fullmatch(name)
    if not match:
        return None
    if not match[1]:
        return HeldOut()
    count = int(match[1])
    if not 0 < count <= _MOST:
        raise PluginError(f"`{name}` wants {count} exercises", hint=f"ask for 1 to {_MOST}")
    return HeldOut(name, count)
