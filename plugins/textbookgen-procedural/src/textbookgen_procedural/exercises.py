"""Exercises: a composition described in a docstring, solved step by step, and checked by asserts that reject near misses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from textbookgen_procedural.compositions import Composition, Step, draw_steps, omissions, run_steps
from textbookgen_procedural.primitives import Primitive
from textbookgen_procedural.value_types import ANNOTATIONS, VARIABLES, ValueType, example_value

_MAX_RESULT_LENGTH = 60  # characters of a result in an assert
_MAX_NUMBER = 10**6
_MAX_CASES_TRIED = 40  # inputs tried to find one that a wrong program gets wrong
_MIN_CASES_TRIED = 12
_MAX_FIRST_ATTEMPTS = 40  # attempts with the wanted first step


@dataclass(frozen=True)
class Difficulty:
    """Parameters of the exercises of one difficulty.

    Attributes:
        steps: the possible numbers of steps; a number listed twice is twice as likely.
        level: the highest level of a primitive.
        example_share: how often the docstring shows a call.
    """

    steps: tuple[int, ...]
    level: int
    example_share: float


DIFFICULTIES: dict[int, Difficulty] = {
    1: Difficulty((1, 2), 1, 0.1),
    2: Difficulty((2,), 1, 0.1),
    3: Difficulty((2, 2, 3), 1, 0.1),
    4: Difficulty((2, 3), 2, 0.4),
    5: Difficulty((3,), 3, 0.4),
}


@dataclass(frozen=True)
class Case:
    """An input, and the function's result for it."""

    value: Any
    result: Any


@dataclass(frozen=True)
class Exercise:
    """A function to complete.

    Attributes:
        name: the function's name.
        composition: its steps.
        cases: the inputs and results of its tests.
        prompt: its signature and docstring.
        solution: its body.
        tests: asserts, one per case.
    """

    name: str
    composition: Composition
    cases: tuple[Case, ...]
    prompt: str
    solution: str
    tests: str

    def program(self) -> str:
        """Return the whole as one program, in the form of the training data."""
        return f"{self.prompt}{self.solution}\n{self.tests}"


def literal(value: Any) -> str:
    """Return a value as source code, with strings in double quotes."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def find_cases(rng: Random, steps: tuple[Step, ...], count: int, rivals: Sequence[tuple[Step, ...]] = ()) -> list[Case] | None:
    """Return cases that together reject every program that omits a step, and each rival that has other results at all.

    Args:
        rng: the source of randomness.
        steps: the steps of the right program.
        count: the minimal number of cases.
        rivals: other programs to reject.

    Returns:
        The cases, or None if a step changes no result among 40 inputs, or too few inputs have a result short enough to print.
    """
    wrong = omissions(steps)
    tried: list[Case] = []
    chosen: list[Case] = []
    for place, rival in enumerate((*wrong, *rivals)):
        if any(_differs(rival, case) for case in chosen):
            continue
        case = next((case for case in _try_cases(rng, steps, tried, _MAX_CASES_TRIED) if _differs(rival, case)), None)
        if case is not None:
            chosen.append(case)
        elif place < len(wrong):
            return None
    for _ in _try_cases(rng, steps, tried, _MIN_CASES_TRIED):
        pass
    rest = [case for case in tried if case not in chosen]
    chosen += _varied(rest, {literal(case.result) for case in chosen})[: max(0, count - len(chosen))]
    if len(chosen) < count or len({literal(case.result) for case in chosen}) < 2:
        return None
    rng.shuffle(chosen)
    return chosen


def _try_cases(rng: Random, steps: tuple[Step, ...], tried: list[Case], limit: int) -> Iterator[Case]:
    """Yield the cases tried so far, then new ones, which are added to them, up to a limit."""
    yield from tuple(tried)
    for _ in range(limit - len(tried)):
        case = _draw_case(rng, steps[0].primitive.input_type, steps)
        if case is not None:
            tried.append(case)
            yield case


def _draw_case(rng: Random, input_type: ValueType, steps: tuple[Step, ...]) -> Case | None:
    value = example_value(input_type, rng)
    result = run_steps(steps, value)
    return Case(value, result) if _is_printable(result) else None


def _is_printable(result: Any) -> bool:
    """Return whether a result is small and short enough for an assert."""
    numbers = result if isinstance(result, list) else [result]
    if any(isinstance(number, int) and abs(number) > _MAX_NUMBER for number in numbers):
        return False
    return len(repr(result)) <= _MAX_RESULT_LENGTH


def _differs(steps: tuple[Step, ...], case: Case) -> bool:
    return bool(run_steps(steps, case.value) != case.result)


def _varied(cases: list[Case], known: set[str]) -> list[Case]:
    """Return the cases without repeated inputs, those with new results before the others."""
    new: list[Case] = []
    repeated: list[Case] = []
    inputs: set[str] = set()
    for case in cases:
        if (value := literal(case.value)) in inputs:
            continue
        inputs.add(value)
        (repeated if (result := literal(case.result)) in known else new).append(case)
        known.add(result)
    return new + repeated


def make_exercise(
    rng: Random,
    name: str,
    steps: tuple[Step, ...],
    count: int,
    *,
    example_share: float = 0.1,
    rivals: Sequence[tuple[Step, ...]] = (),
) -> Exercise | None:
    """Return an exercise for these steps, with a parameter, a wording and cases drawn for it.

    Args:
        rng: the source of randomness.
        name: the function's name.
        steps: its steps.
        count: the minimal number of asserts.
        example_share: how likely the docstring is to show a call.
        rivals: other programs that the asserts should reject.

    Returns:
        The exercise, or None if the name clashes with a function that the solution calls, or if no cases reject all omissions.
    """
    composition = Composition(steps, rng.choice(VARIABLES[steps[0].primitive.input_type]))
    solution = "".join(f"    {line}\n" for line in composition.body())
    if re.search(rf"\b{name}\b", solution.replace(composition.variable.name, "")):
        return None  # a function called `sum` or `sorted` would call itself
    cases = find_cases(rng, steps, count, rivals)
    if cases is None:
        return None
    annotations = ANNOTATIONS[composition.input_type], ANNOTATIONS[composition.output_type]
    header = f"def {name}({composition.variable.name}: {annotations[0]}) -> {annotations[1]}:"
    task = sentence(rng, composition.phrases())
    call = f"\n\n    >>> {name}({literal(cases[0].value)})\n    {cases[0].result!r}\n    "
    docstring = f'    """{task}{call if rng.random() < example_share else ""}"""'
    tests = "".join(_assert(name, case) for case in cases)
    return Exercise(name, composition, tuple(cases), f"{header}\n{docstring}\n", solution, tests)


def sentence(rng: Random, phrases: Sequence[str]) -> str:
    """Return the steps as one sentence, in order."""
    first, *more = phrases
    first = first[0].upper() + first[1:]
    if not more:
        return f"{first}."
    *between, last = more
    style = rng.randrange(3)
    if style == 0:
        return f"{', '.join((first, *between))}{',' if between else ''} and {last}."
    if style == 1:
        return f"{', then '.join((first, *more))}."
    return f"{', '.join((first, *between))}{',' if between else ''} then {last}."


def _assert(name: str, case: Case) -> str:
    test = f"is {case.result}" if isinstance(case.result, bool) else f"== {literal(case.result)}"
    return f"assert {name}({literal(case.value)}) {test}\n"


def draw_exercise(
    rng: Random,
    name: str,
    difficulty: int,
    *,
    input_type: ValueType | None = None,
    first: Primitive | None = None,
    count: int | None = None,
) -> Exercise:
    """Draw an exercise that training data may contain.

    Args:
        rng: the source of randomness.
        name: the function's name.
        difficulty: 1 to 5.
        input_type: the type of the parameter, if it matters.
        first: the first primitive; dropped after 40 attempts that fail.
        count: the minimal number of asserts, 3 to 5 by default.
    """
    parameters = DIFFICULTIES[difficulty]
    attempts = 0
    while True:
        wanted = first if attempts < _MAX_FIRST_ATTEMPTS else None
        attempts += 1
        length = 1 if wanted and wanted.output_type in ("bool", "dict") else rng.choice(parameters.steps)
        level = max(parameters.level, wanted.level if wanted else 1)
        steps = draw_steps(rng, length, level, input_type=input_type, first=wanted)
        if steps is None:
            continue
        share = parameters.example_share
        exercise = make_exercise(rng, name, steps, count or rng.randint(3, 5), example_share=share)
        if exercise:
            return exercise
