"""Parser of the docstrings the teacher writes: from a sentence such as "Keep the even numbers, then sum them" to its steps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from textbookgen_procedural.compositions import Composition, Step, run_steps
from textbookgen_procedural.primitives import primitives
from textbookgen_procedural.value_types import ANNOTATIONS, PARAMETER_TYPES, VARIABLES, ValueType, Variable

_CONJUNCTIONS = (", and then ", ", then ", ", and ", " and then ", " and ", " then ", ", ")
_MAX_STEPS = 4
_NOTE = re.compile(r"\.\s+(?=(?:Use|Return|Loop) )")  # what follows is about the method, or about empty input


@dataclass(frozen=True)
class ParsedFunction:
    """A function whose docstring names known steps: its name, its steps, and its source."""

    name: str
    composition: Composition
    source: str

    def call(self, value: Any) -> Any:
        """Return its result for a value."""
        return run_steps(self.composition.steps, value)

    def trace(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield each step in words, with the value after it."""
        for step, words in zip(self.composition.steps, self.composition.phrases(), strict=True):
            value = step.primitive.function(step.option)(value)
            yield words, value


def parse_steps(task: str, variable: str, input_type: ValueType) -> Composition | None:
    """Return the steps that a sentence names, for a parameter of this name and type; None if it names any unknown step."""
    known = next((item for item in VARIABLES[input_type] if item.name == variable), None)
    singular = variable.removesuffix("s") if input_type in ("ints", "strs") else variable
    usual = VARIABLES[input_type][0]
    one = usual.one if input_type in ("grid", "dict") else singular
    parameter = known or Variable(variable, one, usual.letter)
    first_sentence = _NOTE.split(task.strip(), maxsplit=1)[0]
    return _parse(first_sentence.rstrip(".").lower(), parameter, input_type)


def _parse(text: str, parameter: Variable, input_type: ValueType) -> Composition | None:
    def parse_rest(rest: str, variable: Variable, value_type: ValueType, steps: tuple[Step, ...]) -> tuple[Step, ...] | None:
        for words, step in _phrases(value_type, variable):
            if not rest.startswith(words):
                continue
            after = rest[len(words) :]
            longer = (*steps, step)
            if not after:
                return longer
            output_type = step.primitive.output_type
            conjunction = next((item for item in _CONJUNCTIONS if after.startswith(item)), None)
            if conjunction is None or output_type not in VARIABLES or len(longer) == _MAX_STEPS:
                continue
            next_variable = variable if output_type == value_type else VARIABLES[output_type][0]
            complete = parse_rest(after[len(conjunction) :], next_variable, output_type, longer)
            if complete:
                return complete
        return None

    steps = parse_rest(text, parameter, input_type, ())
    return Composition(steps, parameter) if steps else None


@cache
def _phrases(input_type: ValueType, variable: Variable) -> tuple[tuple[str, Step], ...]:
    """Return every phrase for a step from this type, the longest first, with the step."""
    pairs: list[tuple[str, Step]] = []
    for primitive in primitives():
        if primitive.input_type != input_type:
            continue
        for option in primitive.options:
            for index in range(len(primitive.phrases)):
                words = primitive.phrase(index, option, variable).lower()
                step = Step(primitive, option, index)
                pairs += [(f"{verb}{words}", step) for verb in (("return ", "find ") if primitive.is_noun_phrase else ("",))]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair[0])))


def parse_function(source: str) -> ParsedFunction | None:
    """Return the first function of a piece of Python whose docstring names known steps; None if there is none."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and len(node.args.args) == 1 and (task := ast.get_docstring(node)):
            parameter = node.args.args[0]
            input_type = PARAMETER_TYPES.get(ast.unparse(parameter.annotation) if parameter.annotation else "")
            composition = parse_steps(task.splitlines()[0], parameter.arg, input_type) if input_type else None
            if composition:
                return ParsedFunction(node.name, composition, ast.get_source_segment(source, node) or "")
    return None


def function_source(name: str, composition: Composition, task: str) -> str:
    """Return the source of the function that does these steps, with its task as docstring."""
    annotations = ANNOTATIONS[composition.input_type], ANNOTATIONS[composition.output_type]
    header = f"def {name}({composition.variable.name}: {annotations[0]}) -> {annotations[1]}:"
    return "\n".join([header, f'    """{task}"""', *(f"    {line}" for line in composition.body())]) + "\n"


def parse_argument(text: str, name: str) -> Any:
    """Return the literal that a text passes to the function of this name; None if it has no such call."""
    match = re.search(rf"\b{re.escape(name)}\((.*?)\)(?=[`\s?,.;:)]|$)", text)
    try:
        return ast.literal_eval(match[1]) if match else None
    except (SyntaxError, ValueError):
        return None
