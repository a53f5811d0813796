"""Compositions: sequences of primitives whose types fit, drawn from one side of the split that holds some pairs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from random import Random
from typing import Any

from textbookgen_procedural.data_files import read_lines
from textbookgen_procedural.primitives import Option, Primitive, primitives
from textbookgen_procedural.value_types import VARIABLES, ValueType, Variable

_FIRST_TYPES: dict[ValueType, float] = {"ints": 0.4, "strs": 0.27, "str": 0.23, "int": 0.1}  # type of the parameter: weight
FINAL_TYPES = frozenset(("bool", "dict", "runs", "word_groups", "number_groups"))  # types that only a last step returns


@dataclass(frozen=True)
class Step:
    """A primitive with its option, and the index of the phrase that describes it."""

    primitive: Primitive
    option: Option
    phrase: int


@dataclass(frozen=True)
class Composition:
    """Steps in order, each reading what the one before returned, and the parameter of the function they make."""

    steps: tuple[Step, ...]
    variable: Variable

    @property
    def input_type(self) -> ValueType:
        """The type of the parameter."""
        return self.steps[0].primitive.input_type

    @property
    def output_type(self) -> ValueType:
        """The type of the result."""
        return self.steps[-1].primitive.output_type

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variable that each step reads: the parameter until the type changes, then the first name for that type."""
        variables = [self.variable]
        for step in self.steps[:-1]:
            primitive = step.primitive
            unchanged = primitive.input_type == primitive.output_type
            variables.append(variables[-1] if unchanged else VARIABLES[primitive.output_type][0])
        return tuple(variables)

    def run(self, value: Any) -> Any:
        """Return the result for this value."""
        return run_steps(self.steps, value)

    def body(self) -> list[str]:
        """Return the lines of the function's body, not indented: one step per line, the last of them a return."""
        pairs = zip(self.steps, self.variables, strict=True)
        expressions = [step.primitive.expression(step.option, variable) for step, variable in pairs]
        lines = [f"{name.name} = {code}" for name, code in zip(self.variables[1:], expressions, strict=False)]
        return [*lines, f"return {expressions[-1]}"]

    def phrases(self) -> list[str]:
        """Return what each step does in words, as a command."""
        commands = []
        for step, variable in zip(self.steps, self.variables, strict=True):
            words = step.primitive.phrase(step.phrase, step.option, variable)
            verb = "return" if step is self.steps[-1] else "find"
            commands.append(f"{verb} {words}" if step.primitive.is_noun_phrase else words)
        return commands


def bind(steps: tuple[Step, ...], option: Option | None) -> tuple[Step, ...]:
    """Return the steps with an option's value in place of the function's further parameter."""
    if option is None:
        return steps
    return tuple(Step(step.primitive, option, step.phrase) if step.option.is_parameter else step for step in steps)


def run_steps(steps: Sequence[Step], value: Any) -> Any:
    """Return the result of these steps for this value, one after the other."""
    for step in steps:
        value = step.primitive.function(step.option)(value)
    return value


@cache
def _held_out_pairs() -> frozenset[tuple[str, str]]:
    """Return the neighbouring primitives, by name, of the compositions listed in `data/held_out.txt`."""
    steps = ([part.split()[0] for part in line.partition(": ")[2].split(" > ")] for line in read_lines("held_out"))
    return frozenset(pair for names in steps for pair in pairwise(names))


def pair_is_held_out(first: str, second: str) -> bool:
    """Return whether no training program may apply `second` right after `first`, whatever their options, phrases and form."""
    return (first, second) in _held_out_pairs()


def is_held_out(names: Sequence[str]) -> bool:
    """Return whether a sequence of primitives, by name, contains a held-out pair and so never appears in training data."""
    return any(pair_is_held_out(first, second) for first, second in pairwise(names))


@cache
def _candidates(value_type: ValueType, level: int, last: bool) -> tuple[Primitive, ...]:
    """Return the primitives up to a level that read this type; before the last step, only those that others can follow."""
    readers = (item for item in primitives() if item.input_type == value_type and item.level <= level)
    return tuple(item for item in readers if last or item.output_type not in FINAL_TYPES)


@cache
def _followers(name: str, value_type: ValueType, level: int, last: bool) -> tuple[Primitive, ...]:
    """Return the primitives that may follow this one in training programs."""
    return tuple(
        item
        for item in _candidates(value_type, level, last)
        if item.name != name and item.level <= level and not item.first_only and not pair_is_held_out(name, item.name)
    )


def draw_steps(
    rng: Random,
    length: int,
    level: int,
    *,
    input_type: ValueType | None = None,
    first: Primitive | None = None,
) -> tuple[Step, ...] | None:
    """Draw a random sequence of steps, every pair of them on one side of the split.

    Args:
        rng: the source of randomness.
        length: number of steps.
        level: highest level of a primitive.
        input_type: the type of the parameter, if it matters.
        first: the first primitive, if it matters.

    Returns:
        The steps, or None if the draw reached a step that none can follow.
    """
    value_type = first.input_type if first else input_type or rng.choices(tuple(_FIRST_TYPES), tuple(_FIRST_TYPES.values()))[0]
    chosen: list[Primitive] = []
    for place in range(length):
        last = place == length - 1
        if place:
            candidates = _followers(chosen[-1].name, value_type, level, last)
        else:
            candidates = (first,) if first else _candidates(value_type, level, last)
        if not candidates:
            return None
        chosen.append(rng.choice(candidates))
        value_type = chosen[-1].output_type
    return tuple(Step(item, rng.choice(item.options), rng.randrange(len(item.phrases))) for item in chosen)


def omissions(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """Return the sequences that lack one step, wherever the types still fit, and the empty one if they do."""
    removable = [place for place, step in enumerate(steps) if step.primitive.input_type == step.primitive.output_type]
    shorter = [steps[:place] + steps[place + 1 :] for place in removable]
    if steps[0].primitive.input_type == steps[-1].primitive.output_type and len(steps) > 1:
        shorter.append(())
    return shorter
