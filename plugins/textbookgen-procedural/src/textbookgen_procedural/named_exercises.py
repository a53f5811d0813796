"""Exercises for a drawn name, concept and argument types: steps that do what the name says, a body with the concept."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import cast

from textbookgen_procedural.compositions import FINAL_TYPES, Composition, Step, pair_is_held_out
from textbookgen_procedural.concept_hints import HINTS, Hint
from textbookgen_procedural.data_files import read_lines, read_lists
from textbookgen_procedural.exercises import Exercise, Form, draw_exercise, make_exercise
from textbookgen_procedural.primitives import Option, Primitive, primitives, primitives_by_name
from textbookgen_procedural.value_types import VARIABLES, ValueType, Variable

_MAX_ATTEMPTS = 300
_LENGTHS = {1: (1, 2), 2: (2, 3), 3: (2, 2, 3), 4: (2, 3), 5: (3,)}
_LEVELS = {1: 1, 2: 2, 3: 3, 4: 3, 5: 3}
_EXAMPLE_SHARES = {1: 0.1, 2: 0.1, 3: 0.15, 4: 0.4, 5: 0.4}
_STYLES = {"plain": 0.5, "nested": 0.16, "fused": 0.1, "loops": 0.1, "fused loops": 0.04, "index": 0.02, "while": 0.03}
#: Up to this difficulty, bodies are written plainly: one assignment per step.
_MAX_PLAIN_DIFFICULTY = 2
#: After this many attempts, other forms are tried as well: short plain bodies are often reserved for the benchmark.
_PLAIN_ATTEMPTS = 40
#: After this many attempts, primitives of the next level are used as well.
_LEVEL_ATTEMPTS = 8
#: After this many attempts, other numbers of steps are tried as well.
_MAX_LENGTH_ATTEMPTS = 40
#: How often one of the steps is chosen among those that show the concept by themselves.
_MATCHING_SHARE = 0.75
_EXITS = {"": 0.82, "guard": 0.13, "branches": 0.05}
_IRREGULAR_PLURALS = ("ss", "xes", "ches", "shes", "sses", "ies", "oes", "ices", "ves", "people", "teeth")


@dataclass(frozen=True)
class Request:
    """What a draw asks of an exercise.

    Attributes:
        name: the function's name.
        concept: what its solution should practise; empty if it does not matter.
        difficulty: 1 to 5.
        input_type: the type of the first parameter; None if it does not matter.
        further_type: the annotation of the second parameter, or empty.
    """

    name: str
    concept: str
    difficulty: int
    input_type: ValueType | None
    further_type: str = ""


@dataclass(frozen=True)
class Plan:
    """What the parts of a function's name ask of its steps.

    Attributes:
        last: the primitives of which one is the last step; empty if any.
        first: the first step's primitive, if the ending names one.
        option: the first step's option, if it is given or is the further parameter.
        further: the second parameter, as `NAME: TYPE`.
        variable: the first parameter, if the name has a noun for it.
    """

    last: frozenset[str]
    first: Primitive | None
    option: Option | None
    further: str
    variable: Variable | None


def draw_named_exercise(rng: Random, request: Request) -> Exercise:
    """Return an exercise for a request, as far as this program knows its words.

    A verb of `data/actions.txt` determines the last step, an ending of `data/name_endings.txt` the first, and a concept of
    `concept_hints` how the body is written. What it does not know, or cannot do together, it leaves to chance.
    """
    if request.input_type is None:
        return draw_exercise(rng, request.name, request.difficulty)
    plan = read_name(request)
    hint = HINTS.get(request.concept.lower(), Hint())
    for attempt in range(_MAX_ATTEMPTS):
        exercise = _attempt(rng, request, plan, hint, request.input_type, attempt)
        if exercise:
            return exercise
    if hint != Hint():
        return draw_named_exercise(rng, Request(request.name, "", request.difficulty, request.input_type, request.further_type))
    return draw_exercise(rng, request.name, request.difficulty, input_type=request.input_type)


def _attempt(rng: Random, request: Request, plan: Plan, hint: Hint, input_type: ValueType, attempt: int) -> Exercise | None:
    length = rng.choice(_LENGTHS[request.difficulty]) if attempt < _MAX_LENGTH_ATTEMPTS else rng.choice((1, 2, 2, 3))
    level = max(_LEVELS[request.difficulty], min(3, 1 + attempt // _LEVEL_ATTEMPTS))
    steps = _draw_steps(rng, plan, input_type, length, level, hint.pattern)
    if steps is None:
        return None
    style, early_exit = _draw_form(rng, request.difficulty <= _MAX_PLAIN_DIFFICULTY and attempt < _PLAIN_ATTEMPTS, hint)
    needed = hint.needed or hint.pattern
    if needed and (hint.needed or not hint.styles or style == "plain") and not early_exit and not _shows(needed, steps):
        return None
    form = Form(style, early_exit, plan.variable, plan.further, _EXAMPLE_SHARES[request.difficulty])
    return make_exercise(rng, request.name, steps, rng.randint(3, 5), form, pattern=hint.pattern)


def _draw_form(rng: Random, is_plain: bool, hint: Hint) -> tuple[str, str]:
    """Draw the style and the early exit of a body; a plain one wherever the concept allows it, if asked for."""
    if is_plain:
        style = "plain" if not hint.styles or "plain" in hint.styles else rng.choice(hint.styles)
        return style, "" if not hint.exits or "" in hint.exits else rng.choice(hint.exits)
    style = rng.choice(hint.styles) if hint.styles else rng.choices(tuple(_STYLES), tuple(_STYLES.values()))[0]
    return style, rng.choice(hint.exits) if hint.exits else rng.choices(tuple(_EXITS), tuple(_EXITS.values()))[0]


def _shows(pattern: str, steps: tuple[Step, ...]) -> bool:
    """Return whether the plain body of these steps matches a pattern."""
    body = Composition(steps, VARIABLES[steps[0].primitive.input_type][0]).body()
    return re.search(pattern, "\n".join(body)) is not None


def _draw_steps(
    rng: Random, plan: Plan, input_type: ValueType, length: int, level: int, pattern: str
) -> tuple[Step, ...] | None:
    """Draw steps that begin and end as the plan says, mostly one that matches a pattern; None if this draw leads nowhere."""
    first = plan.first
    matching = rng.randrange(length) if pattern and rng.random() < _MATCHING_SHARE else -1
    if first is None:
        readers = [
            item for item in _readers(input_type, level, length == 1) if length > 1 or not plan.last or item.name in plan.last
        ]
        first = _choose(rng, _matching(readers, pattern) if matching == 0 else readers)
    if first is None or (plan.first is not None and length == 1 and plan.last and first.name not in plan.last):
        length = max(length, 2)
    if first is None:
        return None
    chosen = [first]
    for place in range(1, length):
        last = place == length - 1
        candidates = _readers(chosen[-1].output_type, level, last)
        if last and plan.last:
            candidates = tuple(item for item in candidates if item.name in plan.last)
        after = [item for item in candidates if _may_follow(chosen[-1], item)]
        following = _choose(rng, _matching(after, pattern) if matching == place else after)
        if following is None:
            return None
        chosen.append(following)
    steps = []
    for place, item in enumerate(chosen):
        option = plan.option if place == 0 and plan.option else rng.choice(item.options)
        steps.append(Step(item, option, rng.randrange(len(item.phrases))))
    return tuple(steps)


def _matching(items: Sequence[Primitive], pattern: str) -> Sequence[Primitive]:
    """Return the primitives whose expression alone matches a pattern; all of them if none does."""
    return [item for item in items if _matches(item.name, pattern)] or items


@cache
def _matches(name: str, pattern: str) -> bool:
    primitive = primitives_by_name()[name]
    return (
        re.search(pattern, f"return {primitive.expression(primitive.options[0], VARIABLES[primitive.input_type][0])}")
        is not None
    )


def _may_follow(before: Primitive, item: Primitive) -> bool:
    return item.name != before.name and not item.first_only and not pair_is_held_out(before.name, item.name)


def _choose(rng: Random, items: Sequence[Primitive]) -> Primitive | None:
    return rng.choice(items) if items else None


@cache
def _readers(value_type: ValueType, level: int, last: bool) -> tuple[Primitive, ...]:
    readers = (item for item in primitives() if item.input_type == value_type and item.level <= level)
    return tuple(item for item in readers if last or item.output_type not in FINAL_TYPES)


@cache
def _actions() -> dict[str, frozenset[str]]:
    """Return the primitives that may end a function, by the verb at the beginning of its name."""
    actions = {}
    for heading, lines in read_lists("actions").items():
        for verb in heading.split(" | ")[1].split():
            actions[verb] = frozenset(" ".join(lines).split())
    return actions


@cache
def _endings() -> dict[tuple[str, str], tuple[str, str]]:
    """Return primitive and option of the first step, by the ending of a name and the type of the parameter."""
    endings = {}
    for line in read_lines("name_endings"):
        ending, input_type, primitive = line.split(" | ")
        name, _, option = primitive.partition(" ")
        endings[ending, input_type] = (name, option)
    return endings


def read_name(request: Request) -> Plan:
    """Return what the parts of a function's name ask of its steps."""
    name, input_type = request.name, cast(ValueType, request.input_type)
    verb = max((verb for verb in _actions() if name.startswith(f"{verb}_")), key=len, default="")
    ending = max((end for end, of in _endings() if of == input_type and name.endswith(f"_{end}")), key=len, default="")
    noun = name.removeprefix(f"{verb}_" if verb else "").removesuffix(f"_{ending}" if ending else "")
    first, option, further = None, None, ""
    if ending:
        primitive, code = _endings()[ending, input_type]
        first = primitives_by_name()[primitive]
        option = Option(code, code) if code else None
    if request.further_type:
        if first is None or _option_type(first) != request.further_type:
            first = next((item for item in primitives() if item.input_type == input_type and _fits(item, request)), None)
        if first is not None:
            parameter = ending.rsplit("_", 1)[-1] if ending and first.name == _endings()[ending, input_type][0] else "other"
            if re.search(rf"\b{parameter}\b", first.code):
                parameter = f"given_{parameter}"  # the solution uses the word for something else
            option, further = Option(parameter, f"`{parameter}`", True), f"{parameter}: {request.further_type}"
    return Plan(_actions().get(verb, frozenset()), first, option, further, _parameter(noun, input_type, further))


def _fits(item: Primitive, request: Request) -> bool:
    return _option_type(item) == request.further_type


def _option_type(primitive: Primitive) -> str:
    """Return the annotation of a primitive's options; empty if it has none that a parameter could have."""
    code = primitive.options[0].code
    if code.startswith("["):
        return "list[str]" if '"' in code else "list[int]"
    if "," in code or '"{k}"' in primitive.code:
        return ""
    return "int" if re.fullmatch(r"-?\d+", code) else "str" if code.startswith('"') else ""


def _parameter(noun: str, input_type: ValueType, further: str) -> Variable | None:
    """Return a parameter called like the noun of the name; the type's usual one for a noun without a regular singular."""
    usual = VARIABLES[input_type][0]
    if not noun.isalpha() or keyword.iskeyword(noun) or hasattr(builtins, noun) or noun == further.split(":")[0]:
        return usual
    if input_type in ("ints", "strs"):
        if not noun.endswith("s") or noun.endswith(_IRREGULAR_PLURALS):
            return usual
        return Variable(noun, noun.removesuffix("s"), usual.letter)
    return Variable(noun, usual.one if input_type in ("grid", "dict") else noun, usual.letter)
