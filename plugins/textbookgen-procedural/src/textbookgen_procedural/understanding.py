"""Reads what the teacher itself can write: the steps that a docstring names, and functions made of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from textbookgen_procedural.compositions import Composition, Step, run
from textbookgen_procedural.kinds import ANNOTATIONS, VARIABLES, Kind, Variable
from textbookgen_procedural.primitives import primitives

_JOINTS = (", and then ", ", then ", ", and ", " and then ", " and ", " then ", ", ")
_LONGEST = 4  # steps


@dataclass(frozen=True)
class Known:
    """A function that the teacher understands: its name, its steps, and its source."""

    name: str
    composition: Composition
    source: str

    def call(self, value: Any) -> Any:
        """What it gives for a value."""
        return run(self.composition.steps, value)

    def stages(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Each step in words, with what the value is after it."""
        for step, words in zip(self.composition.steps, self.composition.phrases(), strict=True):
            value = step.primitive.function(step.option)(value)
            yield words, value


def read_steps(task: str, variable: str, takes: Kind) -> Composition | None:
    """The steps that a sentence such as `Drop each even number, then sum up` names, for a parameter of this name and kind."""
    known = next((item for item in VARIABLES[takes] if item.name == variable), None)
    return _read(task.strip().rstrip(".").lower(), known, takes) if known else None


def _read(text: str, parameter: Variable, takes: Kind) -> Composition | None:
    def follow(rest: str, variable: Variable, kind: Kind, steps: tuple[Step, ...]) -> tuple[Step, ...] | None:
        for words, step in _phrases(kind, variable):
            if not rest.startswith(words):
                continue
            after = rest[len(words) :]
            done = (*steps, step)
            if not after:
                return done
            gives = step.primitive.gives
            joint = next((item for item in _JOINTS if after.startswith(item)), None)
            if joint is None or gives not in VARIABLES or len(done) == _LONGEST:
                continue
            result = follow(after[len(joint) :], variable if gives == kind else VARIABLES[gives][0], gives, done)
            if result:
                return result
        return None

    steps = follow(text, parameter, takes, ())
    return Composition(steps, parameter) if steps else None


@cache
def _phrases(kind: Kind, variable: Variable) -> tuple[tuple[str, Step], ...]:
    """Every way to say a step from this kind, the longest first, with the step."""
    result: list[tuple[str, Step]] = []
    for primitive in primitives():
        if primitive.takes != kind:
            continue
        for option in primitive.options:
            for index in range(len(primitive.phrases)):
                words = primitive.phrase(index, option, variable).lower()
                step = Step(primitive, option, index)
                result += [(f"{verb}{words}", step) for verb in (("return ", "find ") if primitive.answer else ("",))]
    return tuple(sorted(result, key=lambda pair: (-len(pair[0]), pair[0])))


def read_function(source: str) -> Known | None:
    """The first function of a piece of Python whose docstring we understand."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and len(node.args.args) == 1 and (task := ast.get_docstring(node)):
            parameter = node.args.args[0]
            kind = _KINDS.get(ast.unparse(parameter.annotation) if parameter.annotation else "")
            composition = read_steps(task.splitlines()[0], parameter.arg, kind) if kind else None
            if composition:
                return Known(node.name, composition, ast.get_source_segment(source, node) or "")
    return None


def write_function(name: str, composition: Composition, task: str) -> str:
    """The function that does these steps, with its task as docstring."""
    header = f"def {name}({composition.variable.name}: {ANNOTATIONS[composition.takes]}) -> {ANNOTATIONS[composition.gives]}:"
    return "\n".join([header, f'    """{task}"""', *(f"    {line}" for line in composition.body())]) + "\n"


def read_call(text: str, name: str) -> Any:
    """The literal that a text passes to the function of this name; None if there is no such call."""
    result = re.search(rf"\b{re.escape(name)}\((.*?)\)(?=[`\s?,.;:)]|$)", text)
    try:
        return ast.literal_eval(result[1]) if result else None
    except (SyntaxError, ValueError):
        return None


_KINDS: dict[str, Kind] = {annotation: kind for kind, annotation in ANNOTATIONS.items() if kind in VARIABLES}
