"""Exercises: a composition described in a docstring, solved step by step, and checked by asserts that reject near misses."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from textbookgen_procedural.compositions import Composition, Step, bind, draw_steps, omissions, run_steps
from textbookgen_procedural.primitives import Option, Primitive
from textbookgen_procedural.renderings import Function, render
from textbookgen_procedural.reserved_trees import is_reserved
from textbookgen_procedural.value_types import ANNOTATIONS, EMPTY_VALUES, VARIABLES, ValueType, Variable, example_value

_MAX_RESULT_LENGTH = 60  # characters of a result in an assert
_MAX_NUMBER = 10**6
_MAX_CASES_TRIED = 40  # inputs tried to find one that a wrong program gets wrong
_MIN_CASES_TRIED = 8
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
    """An input, and the function's result for it.

    Attributes:
        value: the first argument.
        result: the result.
        further: the second argument, of a function that has one.
    """

    value: Any
    result: Any
    further: Option | None = None

    def arguments(self) -> str:
        """Return the arguments as source code."""
        return f"{literal(self.value)}{f', {self.further.code}' if self.further else ''}"


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
    bound = next((step.primitive for step in steps if step.option.is_parameter), None)
    further = _further_argument(rng, bound.options, value) if bound else None
    result = run_steps(bind(steps, further), value)
    return Case(value, result, further) if _is_printable(result) else None


def _further_argument(rng: Random, options: Sequence[Option], value: Any) -> Option:
    """Return a value for the further parameter; a list or dictionary key often has something of the first argument."""
    option = rng.choice(options)
    if option.code.startswith("[") and isinstance(value, list):
        common = rng.sample(value, min(len(value), rng.randint(1, 2)))
        return Option(literal(list(dict.fromkeys([*ast.literal_eval(option.code), *common]))), "")
    if option.code.startswith('"') and isinstance(value, dict) and value and len(option.code) > 3 and rng.random() < 0.6:
        return Option(literal(rng.choice(list(value))), "")
    return option


def _is_printable(result: Any) -> bool:
    """Return whether a result is small and short enough for an assert."""
    if len(repr(result)) > _MAX_RESULT_LENGTH:
        return False
    numbers = result if isinstance(result, list) else [result]
    return not any(isinstance(number, int) and abs(number) > _MAX_NUMBER for number in numbers)


def _differs(steps: tuple[Step, ...], case: Case) -> bool:
    return bool(run_steps(bind(steps, case.further), case.value) != case.result)


def _varied(cases: list[Case], known: set[str]) -> list[Case]:
    """Return the cases without repeated inputs, those with new results before the others."""
    new: list[Case] = []
    repeated: list[Case] = []
    inputs: set[str] = set()
    for case in cases:
        if (value := case.arguments()) in inputs:
            continue
        inputs.add(value)
        (repeated if (result := literal(case.result)) in known else new).append(case)
        known.add(result)
    return new + repeated


@dataclass(frozen=True)
class Form:
    """How a function is written.

    Attributes:
        style: the style of its body (`renderings.STYLES`).
        early_exit: how it leaves early (`renderings.EXITS`).
        variable: its first parameter; None draws one.
        further: its second parameter, as `NAME: TYPE`, if it has one.
        example_share: how likely the docstring is to show a call.
    """

    style: str = "plain"
    early_exit: str = ""
    variable: Variable | None = None
    further: str = ""
    example_share: float = 0.1


def make_exercise(
    rng: Random,
    name: str,
    steps: tuple[Step, ...],
    count: int,
    form: Form = Form(),
    *,
    rivals: Sequence[tuple[Step, ...]] = (),
    pattern: str = "",
    is_benchmark: bool = False,
) -> Exercise | None:
    """Return an exercise for these steps, with a parameter, a wording and cases drawn for it.

    Args:
        rng: the source of randomness.
        name: the function's name.
        steps: its steps.
        count: the minimal number of asserts.
        form: how it is written.
        rivals: other programs that the asserts should reject.
        pattern: a regular expression that must match somewhere in the body.
        is_benchmark: whether it is for the held-out benchmark; all others must differ from those.

    Returns:
        The exercise, or None if it cannot be written in this form, if the name clashes with a function that the solution calls,
        if the pattern does not match, if it resembles a held-out exercise, or if no cases reject all omissions.
    """
    composition = Composition(steps, form.variable or rng.choice(VARIABLES[steps[0].primitive.input_type]))
    body = body_in_form(composition, name, form)
    if body is None or not re.search(pattern, "\n".join(body)):
        return None
    if form.style != "recursive" and re.search(rf"\b{name}\b", "\n".join(body).replace(composition.variable.name, "")):
        return None  # a function called `sum` or `sorted` would call itself
    if not is_benchmark and is_reserved(body):
        return None
    cases = find_cases(rng, steps, count, rivals)
    if cases is None:
        return None
    header, solution = _header(name, composition, form), "".join(f"    {line}\n" for line in body)
    if not _passes(f"{header}\n{solution}", name, cases):
        return None
    docstring = _docstring(rng, name, composition, form, cases[0])
    tests = "".join(_assert(name, case) for case in cases)
    return Exercise(name, composition, tuple(cases), f"{header}\n{docstring}\n", solution, tests)


def _header(name: str, composition: Composition, form: Form) -> str:
    annotations = ANNOTATIONS[composition.input_type], ANNOTATIONS[composition.output_type]
    further = f", {form.further}" if form.further else ""
    return f"def {name}({composition.variable.name}: {annotations[0]}{further}) -> {annotations[1]}:"


def body_in_form(composition: Composition, name: str, form: Form) -> list[str] | None:
    """Return the lines of the body in the form, or None if it does not suit the steps."""
    body = composition.body()
    if (form.style, form.early_exit) == ("plain", ""):
        return body
    parameters = (composition.variable.name, *([form.further.split(":")[0]] if form.further else []))
    empty = _empty_result(composition) if form.early_exit == "guard" else None
    return render(body, Function(name, parameters, empty), form.style, form.early_exit)


def _empty_result(composition: Composition) -> str | None:
    """Return the result for empty input as code, or None if there is none or it depends on the further argument."""
    results = set()
    for option in next((step.primitive.options for step in composition.steps if step.option.is_parameter), (None,)):
        try:
            results.add(literal(run_steps(bind(composition.steps, option), EMPTY_VALUES[composition.input_type])))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None
    return results.pop() if len(results) == 1 else None


def _passes(source: str, name: str, cases: Sequence[Case]) -> bool:
    """Return whether a function of this package's making has the right result in every case."""
    namespace: dict[str, Any] = {}
    calls = ", ".join(f"{name}({case.arguments()})" for case in cases)
    exec(f"{source}\nresults = [{calls}]", namespace)
    return bool(namespace["results"] == [case.result for case in cases])


def _docstring(rng: Random, name: str, composition: Composition, form: Form, case: Case) -> str:
    """Return the docstring: the steps as a sentence, often a note on the method, and sometimes an example."""
    notes = [sentence(rng, composition.phrases())]
    if form.early_exit == "guard" and rng.random() < 0.6:
        notes.append(
            f"Return {_empty_result(composition)} {_EMPTY_WORDS[composition.input_type].format(composition.variable.name)}."
        )
    if (method := _METHODS.get(form.style)) and rng.random() < 0.5:
        notes.append(method)
    text = ("\n\n    " if len(notes) > 1 and rng.random() < 0.3 else " ").join([notes[0], " ".join(notes[1:])]).rstrip()
    if rng.random() < form.example_share:
        text += f"\n\n    >>> {name}({case.arguments()})\n    {case.result!r}"
    return f'    """{text}{chr(10) + "    " if chr(10) in text else ""}"""'


_EMPTY_WORDS: dict[ValueType, str] = {
    "ints": "if there are no {}",
    "strs": "if there are no {}",
    "str": "if the {} is empty",
    "int": "if the {} is 0",
    "grid": "if the {} is empty",
    "dict": "for an empty dictionary",
}
_METHODS = {
    "loops": "Use a loop.",
    "fused loops": "Use one loop.",
    "index": "Loop over the positions.",
    "while": "Use a while loop.",
    "functional": "Use `map` or `filter`.",
    "recursive": "Use recursion.",
}


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
    return f"assert {name}({case.arguments()}) {test}\n"


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
        form = Form(example_share=parameters.example_share)
        exercise = make_exercise(rng, name, steps, count or rng.randint(3, 5), form)
        if exercise:
            return exercise
