"""Compositions: typed sequences of primitives, the split that holds some of them out, and what they give when run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import pairwise
from random import Random
from typing import Any

from textbookgen_procedural.kinds import VARIABLES, Kind, Variable
from textbookgen_procedural.primitives import Option, Primitive, primitives
from textbookgen_procedural.wordlists import words

_STARTS: dict[Kind, float] = {"ints": 0.4, "strs": 0.27, "str": 0.23, "int": 0.1}
_ENDS = frozenset(("bool", "dict"))
_HELD_OUT_SHARE = 0.15


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
        reads = zip(self.steps, self.variables, strict=True)
        expressions = [step.primitive.expression(step.option, variable) for step, variable in reads]
        lines = [f"{name.name} = {code}" for name, code in zip(self.variables[1:], expressions, strict=False)]
        return [*lines, f"return {expressions[-1]}"]

    def phrases(self) -> list[str]:
        """What each step does, in words, as a command."""
        told = []
        for step, variable in zip(self.steps, self.variables, strict=True):
            words = step.primitive.phrase(step.phrase, step.option, variable)
            verb = "return" if step is self.steps[-1] else "find"
            told.append(f"{verb} {words}" if step.primitive.answer else words)
        return told


def run(steps: Sequence[Step], value: Any) -> Any:
    """What these steps give for this value, one after the other."""
    for step in steps:
        value = step.primitive.function(step.option)(value)
    return value


#: Pairs that the snippets in `data/concepts.txt` do themselves.
_TAUGHT = frozenset(words("taught pairs"))


@cache
def pair_is_held_out(first: str, second: str) -> bool:
    """Whether no training program may do `second` right after `first`; parameters and phrases do not matter."""
    if f"{first}>{second}" in _TAUGHT:
        return False
    return int.from_bytes(sha256(f"{first}>{second}".encode()).digest()[:4], "big") < _HELD_OUT_SHARE * 2**32


def is_held_out(names: Sequence[str]) -> bool:
    """Whether a sequence of primitives is kept from all that the teacher writes: it holds a pair that is held out."""
    return any(pair_is_held_out(first, second) for first, second in pairwise(names))


@cache
def _starting(kind: Kind, level: int, last: bool) -> tuple[Primitive, ...]:
    known = (item for item in primitives() if item.takes == kind and item.level <= level)
    return tuple(item for item in known if last or item.gives not in _ENDS)


@cache
def _following(name: str, kind: Kind, level: int, last: bool, held_out: bool) -> tuple[Primitive, ...]:
    """What may come after a primitive: of its result's kind, not itself, and on the wanted side of the split."""
    return tuple(
        item
        for item in _starting(kind, level, last)
        if item.name != name and not item.first and pair_is_held_out(name, item.name) == held_out
    )


def draw_steps(
    rng: Random, length: int, level: int, *, start: Kind | None = None, opening: Primitive | None = None, held_out: bool = False
) -> tuple[Step, ...] | None:
    """Random steps of this length, every pair of them on one side of the split; None where no step can follow.

    `start` wants a parameter of this kind; `opening` wants this primitive first.
    """
    kind = opening.takes if opening else start or rng.choices(tuple(_STARTS), tuple(_STARTS.values()))[0]
    chosen: list[Primitive] = []
    for place in range(length):
        last = place == length - 1
        if place:
            known = _following(chosen[-1].name, kind, level, last, held_out)
        else:
            known = (opening,) if opening else _starting(kind, level, last)
        if not known:
            return None
        chosen.append(rng.choice(known))
        kind = chosen[-1].gives
    return tuple(Step(item, rng.choice(item.options), rng.randrange(len(item.phrases))) for item in chosen)


def omissions(steps: tuple[Step, ...]) -> list[tuple[Step, ...]]:
    """The same without one step, wherever the kinds still fit, and without any."""
    same = [place for place, step in enumerate(steps) if step.primitive.takes == step.primitive.gives]
    shorter = [steps[:place] + steps[place + 1 :] for place in same]
    if steps[0].primitive.takes == steps[-1].primitive.gives and len(steps) > 1:
        shorter.append(())
    return shorter
