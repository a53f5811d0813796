"""Compositions: typed sequences of primitives, the split that holds some of them out, and what they give when run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from random import Random
from typing import Any

from textbookgen_procedural.kinds import VARIABLES, Kind, Variable
from textbookgen_procedural.primitives import PRIMITIVES, Option, Primitive

_STARTS: dict[Kind, float] = {"ints": 0.4, "strs": 0.27, "str": 0.23, "int": 0.1}
_ENDS = frozenset(("bool", "dict"))
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Step:
    """A primitive with its parameter, and which of its phrases is used."""

    primitive: Primitive
    option: Option
    phrase: int


@dataclass(frozen=True)
class Composition:
    """Steps in order, each taking what the one before gave; `variable` is the parameter of the function they make."""

    steps: tuple[Step, ...]
    variable: Variable

    @property
    def takes(self) -> Kind:
        """The kind of the parameter."""
        return self.steps[0].primitive.takes

    @property
    def gives(self) -> Kind:
        """The kind of the result."""
        return self.steps[-1].primitive.gives

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The variable that each step reads: the parameter until the kind changes, then the kind's own."""
        reads = [self.variable]
        for step in self.steps[:-1]:
            primitive = step.primitive
            reads.append(reads[-1] if primitive.takes == primitive.gives else VARIABLES[primitive.gives][0])
        return tuple(reads)

    def run(self, value: Any) -> Any:
        """What the composition gives for this value."""
        return run(self.steps, value)

    def body(self) -> list[str]:
        """The lines of the function's body, not indented: one step a line, the last of them a return."""
        expressions = [step.primitive.expression(step.option, read) for step, read in zip(self.steps, self.variables, strict=True)]
        lines = [f"{name.name} = {code}" for name, code in zip(self.variables[1:], expressions, strict=False)]
        return [*lines, f"return {expressions[-1]}"]

    def phrases(self) -> list[str]:
        """What each step does, in words, as a command."""
        told = [step.primitive.phrase(step.phrase, step.option, read) for step, read in zip(self.steps, self.variables, strict=True)]
        last = len(told) - 1
        verbs = [("return " if place == last else "find ") if step.primitive.answer else "" for place, step in enumerate(self.steps)]
        return [verb + words for verb, words in zip(verbs, told, strict=True)]


def run(steps: Sequence[Step], value: Any) -> Any:
    """What these steps give for this value, one after the other."""
    for step in steps:
        value = step.primitive.function(step.option)(value)
    return value


#: Pairs that the snippets in `data/concepts.txt` do themselves.
_TAUGHT = frozenset(
    (
        ("keep_positive", "sort"), ("sort", "take"), ("take", "sort"), ("sort_down", "take"), ("split_words", "longest"),
        ("split_words", "lengths"), ("lengths", "largest"), ("split_words", "capitalize_each"), ("capitalize_each", "join_words"),
        ("add", "keep_even"), ("running", "differences"), ("keep_negative", "negate"), ("keep_positive", "square"), ("strip", "title"),
        ("upper_each", "longer_than"), ("longer_than", "upper_each"), ("square", "sum"), ("digits", "sum"), ("unique", "count"),
        ("split_commas", "count_words"), ("split_words", "count_words"), ("sort", "symmetric"), ("keep_digits", "read_digits"),
    )
)  # fmt: skip


@cache
def pair_is_held_out(first: str, second: str) -> bool:
    """Whether no training program may do `second` right after `first`; parameters and phrases do not matter."""
    if (first, second) in _TAUGHT:
        return False
    return int.from_bytes(sha256(f"{first}>{second}".encode()).digest()[:4], "big") < _HELD_OUT_SHARE * 2**32


def is_held_out(names: Sequence[str]) -> bool:
    """Whether a sequence of primitives is kept from all that the teacher writes: it holds a pair that is held out."""
    return any(pair_is_held_out(first, second) for first, second in zip(names, names[1:], strict=False))


@cache
def _starting(kind: Kind, level: int, last: bool) -> tuple[Primitive, ...]:
    return tuple(each for each in PRIMITIVES if each.takes == kind and each.level <= level and (last or each.gives not in _ENDS))


@cache
def _following(name: str, kind: Kind, level: int, last: bool, held_out: bool) -> tuple[Primitive, ...]:
    """What may come after a primitive: of its result's kind, not itself, and on the wanted side of the split."""
    return tuple(
        each
        for each in _starting(kind, level, last)
        if each.name != name and not each.first and pair_is_held_out(name, each.name) == held_out
    )


def draw_steps(
    rng: Random, length: int, level: int, *, start: Kind | None = None, opening: Primitive | None = None, held_out: bool = False
) -> tuple[Step, ...] | None:
    """Random steps of this length, every pair of them on one side of the split; None where no step can follow.

    `start` wants a parameter of this kind; `opening` wants this primitive first.
    """
    kind = opening.takes if opening else start or rng.choices(tuple(_STARTS), tuple(_STARTS.values()))[0]
    primitives: list[Primitive] = []
    for place in range(length):
        last = place == length - 1
        if place:
            known = _following(primitives[-1].name, kind, level, last, held_out)
        else:
            known = (opening,) if opening else _starting(kind, level, last)
        if not known:
            return None
        primitives.append(rng.choice(known))
        kind = primitives[-1].gives
    return tuple(Step(each, rng.choice(each.options), rng.randrange(len(each.phrases))) for each in primitives)


def omissions(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """The same without one step, wherever the kinds still fit, and without any."""
    shorter = [steps[:place] + steps[place + 1 :] for place, step in enumerate(steps) if step.primitive.takes == step.primitive.gives]
    if steps[0].primitive.takes == steps[-1].primitive.gives and len(steps) > 1:
        shorter.append(())
    return shorter
