"""Slips: solutions and code that are wrong in one step, in the form and about the length of the right ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any, TypeVar

from textbookgen_procedural.compositions import Composition, Step, run_steps
from textbookgen_procedural.exercises import literal
from textbookgen_procedural.primitives import Primitive, primitives
from textbookgen_procedural.value_types import ValueType, example_value

Candidate = TypeVar("Candidate")

_NUMBER = re.compile(r"-?\d+")
_MAX_OFFSET = 20
_TRIED = 24  # alternatives that are compared
_NEAREST = 4  # of these, the ones nearest in length, one of which is chosen
_PROBES = 12  # inputs by which programs are told apart
_ERRORS = (TypeError, ValueError, IndexError, ZeroDivisionError, AttributeError, KeyError)


def other_number(rng: Random, right: int) -> int:
    """Return another number near this one, with as many digits and the same sign."""
    near = range(right - _MAX_OFFSET, right + _MAX_OFFSET + 1)
    return rng.choice(
        [number for number in near if number != right and len(str(number)) == len(str(right)) and (number < 0) == (right < 0)]
    )


def replace_last_number(text: str, right: str, wrong: str) -> str:
    """Return a text in which the last occurrence of a number is another."""
    places = [match.span() for match in _NUMBER.finditer(text) if match[0] == right]
    return f"{text[: places[-1][0]]}{wrong}{text[places[-1][1] :]}" if places else text


def wrong_values(rng: Random, steps: tuple[Step, ...], value: Any) -> list[Any] | None:
    """Return the values after each step if one step is misapplied, so that the last value is wrong; None if it never is."""
    try:
        right = run_steps(steps, value)
    except _ERRORS:
        return None
    candidates = []
    for other in _alternatives(rng, steps):
        values = _trace(other, value)
        if values is not None and values[-1] != right:
            candidates.append(values)
    return _nearest(rng, candidates, lambda values: abs(len(literal(values[-1])) - len(literal(right))))


def wrong_composition(rng: Random, composition: Composition) -> Composition | None:
    """Return a composition that has other results because one step is another; None if there is none."""
    length = len("".join(composition.body()))
    probes = [example_value(composition.input_type, Random(number)) for number in range(_PROBES)]
    candidates = []
    for steps in _alternatives(rng, composition.steps):
        other = replace(composition, steps=steps)
        if any(_result(steps, probe) != _result(composition.steps, probe) for probe in probes):
            candidates.append(other)
    return _nearest(rng, candidates, lambda other: abs(len("".join(other.body())) - length))


def _alternatives(rng: Random, steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """Yield sequences in which one step has another option, or is another step of the same types."""
    for _ in range(_TRIED):
        place = rng.randrange(len(steps))
        step = steps[place]
        fitting = _same_types(step.primitive.input_type, step.primitive.output_type)
        primitive = rng.choice(fitting)
        other = Step(primitive, rng.choice(primitive.options), 0)
        if (other.primitive.name, other.option) != (step.primitive.name, step.option):
            yield (*steps[:place], other, *steps[place + 1 :])


def _same_types(input_type: ValueType, output_type: ValueType) -> list[Primitive]:
    return [item for item in primitives() if (item.input_type, item.output_type) == (input_type, output_type)]


def _trace(steps: tuple[Step, ...], value: Any) -> list[Any] | None:
    values = []
    try:
        for step in steps:
            value = step.primitive.function(step.option)(value)
            values.append(value)
    except _ERRORS:
        return None
    return values


def _result(steps: tuple[Step, ...], value: Any) -> Any:
    values = _trace(steps, value)
    return None if values is None else values[-1]


def _nearest(rng: Random, candidates: list[Candidate], distance: Callable[[Candidate], int]) -> Candidate | None:
    """Return one of the few nearest, which are then about as often shorter as longer than the right one."""
    return rng.choice(sorted(candidates, key=distance)[:_NEAREST]) if candidates else None
