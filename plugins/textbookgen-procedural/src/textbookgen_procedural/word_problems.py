"""Word problems from everyday life: written with random numbers, solved step by step, and recognised in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

Numbers = Mapping[str, int]


@dataclass(frozen=True)
class ProblemTemplate:
    """A kind of problem.

    Attributes:
        question: its wording, with `{NAME}` for a number.
        ranges: the inclusive range of each number.
        solve: returns the steps in words and the answer.
    """

    question: str
    ranges: Mapping[str, tuple[int, int]]
    solve: Callable[[Numbers], tuple[list[str], int]]


@dataclass(frozen=True)
class Problem:
    """A problem with its numbers: the question, the steps in words, and the answer."""

    question: str
    steps: tuple[str, ...]
    answer: int


def _share(n: Numbers) -> tuple[list[str], int]:
    whole = n["boxes"] * n["each"]
    steps = [
        f"There are {n['boxes']} * {n['each']} = {whole} pieces in all",
        f"Of these {whole} - {n['gone']} = {whole - n['gone']} are left",
    ]
    return steps, whole - n["gone"]


def _trip(n: Numbers) -> tuple[list[str], int]:
    first, second = n["speed"] * n["hours"], n["slower"] * n["more"]
    steps = [
        f"The first part is {n['speed']} * {n['hours']} = {first} kilometres",
        f"The second part is {n['slower']} * {n['more']} = {second} kilometres",
    ]
    return [*steps, f"Together that is {first} + {second} = {first + second} kilometres"], first + second


def _bill(n: Numbers) -> tuple[list[str], int]:
    cost = n["count"] * n["price"]
    steps = [f"The apples cost {n['count']} * {n['price']} = {cost} coins"]
    return [*steps, f"The change is {n['paid']} - {cost} = {n['paid'] - cost} coins"], n["paid"] - cost


def _recipe(n: Numbers) -> tuple[list[str], int]:
    spoons = n["spoons"] * n["people"]
    return [f"That is {n['spoons']} * {n['people']} = {spoons} spoons"], spoons


def _saving(n: Numbers) -> tuple[list[str], int]:
    grown = n["weekly"] * n["weeks"]
    steps = [f"In {n['weeks']} weeks {n['weekly']} * {n['weeks']} = {grown} coins come in"]
    return [*steps, f"With the first {n['first']} that is {grown} + {n['first']} = {grown + n['first']} coins"], grown + n[
        "first"
    ]


def _clock(n: Numbers) -> tuple[list[str], int]:
    total = n["hours"] * 60
    steps = [f"{n['hours']} hours are {n['hours']} * 60 = {total} minutes"]
    return [*steps, f"With the rest that is {total} + {n['minutes']} = {total + n['minutes']} minutes"], total + n["minutes"]


def _garden(n: Numbers) -> tuple[list[str], int]:
    area = n["long"] * n["wide"]
    steps = [f"The bed has {n['long']} * {n['wide']} = {area} square metres"]
    return [*steps, f"So it takes {area} * {n['plants']} = {area * n['plants']} plants"], area * n["plants"]


def _cold(n: Numbers) -> tuple[list[str], int]:
    fall = n["hours"] * n["degrees"]
    steps = [f"In {n['hours']} hours it falls by {n['hours']} * {n['degrees']} = {fall} degrees"]
    return [*steps, f"It began at {n['start']}, so it is {n['start']} - {fall} = {n['start'] - fall} degrees"], n[
        "start"
    ] - fall


TEMPLATES: tuple[ProblemTemplate, ...] = (
    ProblemTemplate(
        "There are {boxes} boxes with {each} pieces in each, and {gone} pieces are used up. How many pieces are left?",
        {"boxes": (3, 12), "each": (6, 24), "gone": (2, 17)},
        _share,
    ),
    ProblemTemplate(
        "A bus goes {speed} kilometres an hour for {hours} hours, then {slower} kilometres an hour for {more} hours. "
        "How many kilometres does it go?",
        {"speed": (50, 90), "hours": (2, 5), "slower": (20, 49), "more": (2, 4)},
        _trip,
    ),
    ProblemTemplate(
        "Somebody buys {count} apples at {price} coins each and pays with {paid} coins. How many coins of change are due?",
        {"count": (2, 15), "price": (2, 9), "paid": (140, 200)},
        _bill,
    ),
    ProblemTemplate(
        "A cup of soup takes {spoons} spoons of lentils, and {people} people have one each. How many spoons is that?",
        {"spoons": (2, 9), "people": (3, 30)},
        _recipe,
    ),
    ProblemTemplate(
        "Somebody has {first} coins and saves {weekly} coins a week for {weeks} weeks. How many coins are there then?",
        {"first": (5, 60), "weekly": (2, 19), "weeks": (3, 26)},
        _saving,
    ),
    ProblemTemplate(
        "A walk takes {hours} hours and {minutes} minutes. How many minutes is that?",
        {"hours": (2, 9), "minutes": (5, 55)},
        _clock,
    ),
    ProblemTemplate(
        "A bed of {long} by {wide} metres has {plants} plants on each square metre. How many plants does it take?",
        {"long": (2, 12), "wide": (2, 9), "plants": (3, 9)},
        _garden,
    ),
    ProblemTemplate(
        "At noon it is {start} degrees, and each hour it gets {degrees} degrees colder. "
        "How many degrees is it after {hours} hours?",
        {"start": (20, 34), "degrees": (2, 3), "hours": (2, 6)},
        _cold,
    ),
)


def draw_problem(rng: Random) -> Problem:
    """Draw a problem of any kind."""
    template = rng.choice(TEMPLATES)
    return _fill(template, {name: rng.randint(*bounds) for name, bounds in template.ranges.items()})


def find_problem(text: str) -> Problem | None:
    """Return the first known problem in a text with its solution; None if there is none."""
    for template in TEMPLATES:
        match = _regex(template.question).search(text)
        if match:
            return _fill(template, {name: int(value) for name, value in match.groupdict().items()})
    return None


def find_equation(text: str) -> Problem | None:
    """Return the first open sum, difference or product of integers in a text (`12 + 30 =`) with its solution."""
    match = _OPEN_EQUATION.search(text)
    if match is None:
        return None
    one, sign, other = int(match[1]), match[2], int(match[3])
    answer = one + other if sign == "+" else one - other if sign in "-\u2212" else one * other
    return Problem(match[0].strip(), (f"{one} {sign} {other} = {answer}",), answer)


def _fill(template: ProblemTemplate, numbers: Numbers) -> Problem:
    steps, answer = template.solve(numbers)
    return Problem(template.question.format(**numbers), tuple(steps), answer)


@cache
def _regex(question: str) -> re.Pattern[str]:
    """Return a pattern that matches the question with any numbers in it, as named groups."""
    parts = re.split(r"\{(\w+)\}", question)
    return re.compile("".join(re.escape(part) if place % 2 == 0 else rf"(?P<{part}>\d+)" for place, part in enumerate(parts)))


_OPEN_EQUATION = re.compile(r"(?<![\d.])(-?\d+)\s*([-+*\u2212\u00d7])\s*(\d+)\s*=(?!\s*-?\d)")
