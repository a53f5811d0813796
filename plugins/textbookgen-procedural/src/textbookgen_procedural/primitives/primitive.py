"""What a primitive is: one expression over one variable, and two to four phrases in English that mean just that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from textbookgen_procedural.kinds import Kind, Variable


@dataclass(frozen=True)
class Option:
    """One value of a primitive's parameter: how code writes it (`k`), and how a phrase says it."""

    code: str
    words: str


NONE = (Option("", ""),)


@dataclass(frozen=True)
class Primitive:
    """One step from a value of kind `takes` to one of kind `gives`.

    In `code` and `phrases`, `{x}` is the variable, `{e}` the letter of its loop, `{one}` the noun for one element, and `{k}`
    the parameter. The phrases of an `answer` are nouns ("the sum"), those of other steps commands ("sort the numbers").
    `level` is 1 for what a beginner meets first and 3 for what comes last. `first` keeps it to the start of a composition,
    where its input is known to be small.
    """

    name: str
    takes: Kind
    gives: Kind
    code: str
    phrases: tuple[str, ...]
    level: int = 1
    options: tuple[Option, ...] = NONE
    first: bool = False

    @property
    def answer(self) -> bool:
        """Whether it gives one value that is named, not done: "the sum" rather than "sort them"."""
        return self.phrases[0].split()[0] in _NAMING

    def expression(self, option: Option, variable: Variable) -> str:
        """The code of the step, for a variable of this name."""
        return self.code.format(x=variable.name, e=variable.letter, k=option.code)

    def phrase(self, index: int, option: Option, variable: Variable) -> str:
        """The phrase with this index, for a variable of this name."""
        return self.phrases[index].format(x=variable.name, one=variable.one, k=option.words)

    def function(self, option: Option) -> Callable[[Any], Any]:
        """The step as something to call."""
        return _compiled(self.code, option.code)


_NAMING = frozenset(("the", "whether", "how"))


@lru_cache(maxsize=8192)
def _compiled(code: str, option: str) -> Callable[[Any], Any]:
    """The expression compiled once; its text is this package's own."""
    function: Callable[[Any], Any] = eval(f"lambda value: {code.format(x='value', e='e', k=option)}", {})
    return function


def whole(*numbers: int) -> tuple[Option, ...]:
    """Options that are whole numbers, written in phrases as in code."""
    return tuple(Option(str(number), str(number)) for number in numbers)


def quoted(*texts: str) -> tuple[Option, ...]:
    """Options that are strings, quoted in phrases as in code."""
    return tuple(Option(f'"{text}"', f'"{text}"') for text in texts)


def named(**separators: str) -> tuple[Option, ...]:
    """Options that are strings which phrases call by a name."""
    return tuple(Option(f'"{text}"', name) for name, text in separators.items())
