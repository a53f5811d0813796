"""Exercises: a composition told in a docstring, solved step by step, and checked by asserts that tell it from near misses."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from textbookgen_procedural import kinds
from textbookgen_procedural.compositions import Composition, Step, draw_steps, omissions, run
from textbookgen_procedural.kinds import ANNOTATIONS, VARIABLES, Kind
from textbookgen_procedural.primitives import Primitive

_LONGEST = 60  # characters of a result in an assert
_LARGEST = 10**6


@dataclass(frozen=True)
class Rung:
    """How hard exercises of one difficulty are: the numbers of `steps`, each as likely as it is often named, the highest
    `level` of primitives, and how often the docstring shows an `example`."""

    steps: tuple[int, ...]
    level: int
    example: float


LADDER: dict[int, Rung] = {
    1: Rung((1, 2), 1, 0.1),
    2: Rung((2,), 1, 0.1),
    3: Rung((2, 2, 3), 1, 0.1),
    4: Rung((2, 3), 2, 0.4),
    5: Rung((3,), 3, 0.4),
}


@dataclass(frozen=True)
class Case:
    """An input, and what the function gives for it."""

    value: Any
    result: Any


@dataclass(frozen=True)
class Exercise:
    """A function to complete: `prompt` ends after the docstring, `solution` is the body, `tests` are asserts."""

    name: str
    composition: Composition
    cases: tuple[Case, ...]
    prompt: str
    solution: str
    tests: str

    def program(self) -> str:
        """The whole as one program, as it stands in training data."""
        return f"{self.prompt}{self.solution}\n{self.tests}"


def literal(value: Any) -> str:
    """A value as source code, strings in double quotes."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def find_cases(rng: Random, steps: tuple[Step, ...], count: int, rivals: Sequence[tuple[Step, ...]] = ()) -> list[Case] | None:
    """So many cases that together reject every omission of a step, and each rival that gives other results at all.

    None if some step makes no difference to forty inputs, or if too few inputs give something short enough to print.
    """
    wrong = omissions(steps)
    tried: list[Case] = []
    chosen: list[Case] = []
    for place, rival in enumerate((*wrong, *rivals)):
        if any(_differs(rival, case) for case in chosen):
            continue
        telling = next((case for case in _growing(rng, steps, tried, 40) if _differs(rival, case)), None)
        if telling is not None:
            chosen.append(telling)
        elif place < len(wrong):
            return None
    for _ in _growing(rng, steps, tried, 12):
        pass
    rest = [case for case in tried if case not in chosen]
    chosen += _various(rest, {literal(case.result) for case in chosen})[: max(0, count - len(chosen))]
    if len(chosen) < count or len({literal(case.result) for case in chosen}) < 2:
        return None
    rng.shuffle(chosen)
    return chosen


def _growing(rng: Random, steps: tuple[Step, ...], tried: list[Case], most: int) -> Iterator[Case]:
    """The cases tried so far, and then new ones, up to so many inputs."""
    yield from tuple(tried)
    for _ in range(most - len(tried)):
        case = _case(rng, steps[0].primitive.takes, steps)
        if case is not None:
            tried.append(case)
            yield case


def _case(rng: Random, kind: Kind, steps: tuple[Step, ...]) -> Case | None:
    value = kinds.example(kind, rng)
    result = run(steps, value)
    return Case(value, result) if _modest(result) else None


def _modest(result: Any) -> bool:
    numbers = result if isinstance(result, list) else [result]
    if any(isinstance(number, int) and abs(number) > _LARGEST for number in numbers):
        return False
    return len(repr(result)) <= _LONGEST


def _differs(steps: tuple[Step, ...], case: Case) -> bool:
    return bool(run(steps, case.value) != case.result)


def _various(cases: list[Case], known: set[str]) -> list[Case]:
    """The cases, each with an input of its own, those whose results were not seen yet before the others."""
    fresh: list[Case] = []
    stale: list[Case] = []
    inputs: set[str] = set()
    for case in cases:
        if (value := literal(case.value)) in inputs:
            continue
        inputs.add(value)
        (stale if (result := literal(case.result)) in known else fresh).append(case)
        known.add(result)
    return fresh + stale


def make_exercise(
    rng: Random,
    name: str,
    steps: tuple[Step, ...],
    count: int,
    *,
    example: float = 0.1,
    rivals: Sequence[tuple[Step, ...]] = (),
) -> Exercise | None:
    """The exercise for these steps, with a parameter, a wording and cases drawn for it; None where the cases tell nothing.

    `example` is how likely the docstring is to show a call.
    """
    composition = Composition(steps, rng.choice(VARIABLES[steps[0].primitive.takes]))
    solution = "".join(f"    {line}\n" for line in composition.body())
    if re.search(rf"\b{name}\b", solution.replace(composition.variable.name, "")):
        return None  # a function called `sum` or `sorted` would call itself
    cases = find_cases(rng, steps, count, rivals)
    if cases is None:
        return None
    header = f"def {name}({composition.variable.name}: {ANNOTATIONS[composition.takes]}) -> {ANNOTATIONS[composition.gives]}:"
    task = sentence(rng, composition.phrases())
    shown = f"\n\n    >>> {name}({literal(cases[0].value)})\n    {cases[0].result!r}\n    " if rng.random() < example else ""
    tests = "".join(_assert(name, case) for case in cases)
    return Exercise(name, composition, tuple(cases), f'{header}\n    """{task}{shown}"""\n', solution, tests)


def sentence(rng: Random, phrases: Sequence[str]) -> str:
    """The steps as one sentence, in order."""
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
    start: Kind | None = None,
    opening: Primitive | None = None,
    count: int | None = None,
) -> Exercise:
    """An exercise that training may hold, of this difficulty (1 to 5); an opening that does not fit is let go."""
    rung = LADDER[difficulty]
    for attempt in itertools.count():
        wished = opening if attempt < 40 else None
        length = 1 if wished and wished.gives in ("bool", "dict") else rng.choice(rung.steps)
        steps = draw_steps(rng, length, max(rung.level, wished.level if wished else 1), start=start, opening=wished)
        made = make_exercise(rng, name, steps, count or rng.randint(3, 5), example=rung.example) if steps else None
        if made:
            return made
    raise AssertionError("unreachable: the loop above has no end")
