"""The library of primitives: one-line steps over lists, strings and numbers, each with the phrases that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, cast

from textbookgen_procedural.kinds import Kind, Variable


@dataclass(frozen=True)
class Option:
    """One value of a primitive's parameter: how code writes it, and how a phrase says it."""

    code: str
    words: str


_NAMING = frozenset(("the", "whether", "how"))


@dataclass(frozen=True)
class Primitive:
    """One step from a value of kind `takes` to one of kind `gives`: an expression, and phrases that mean just that.

    `level` is 1 for what a beginner meets first and 3 for what comes last. `first` keeps it to the start of a composition,
    where its input is known to be small. `answer` says that it names a value ("the sum") rather than does something.
    """

    name: str
    takes: Kind
    gives: Kind
    level: int
    first: bool
    code: str
    phrases: tuple[str, ...]
    options: tuple[Option, ...]
    answer: bool

    def expression(self, option: Option, variable: Variable) -> str:
        """The code of the step, for a variable of this name."""
        return self.code.format(x=variable.name, e=variable.letter, k=option.code)

    def phrase(self, index: int, option: Option, variable: Variable) -> str:
        """The phrase with this index, for a variable of this name."""
        return self.phrases[index].format(x=variable.name, one=variable.one, k=option.words)

    def function(self, option: Option) -> Callable[[Any], Any]:
        """The step as something to call."""
        return _compiled(self.code, option.code)


@lru_cache(maxsize=8192)
def _compiled(code: str, option: str) -> Callable[[Any], Any]:
    """The expression compiled once; its text is this package's own."""
    function: Callable[[Any], Any] = eval(f"lambda value: {code.format(x='value', e='e', k=option)}", {})
    return function


def _read(text: str) -> Iterator[Primitive]:
    for block in text.split("\n== ")[1:]:
        head, code, *lines = block.strip().splitlines()
        name, kinds, level, *first = head.split(" | ")
        takes, _, gives = kinds.partition(" -> ")
        phrases = tuple(line[2:] for line in lines if line.startswith("- "))
        options = [item.partition(" ~ ") for line in lines if line.startswith("k ") for item in line[2:].split(" ; ")]
        yield Primitive(
            name,
            cast(Kind, takes),
            cast(Kind, gives),
            int(level),
            bool(first),
            code,
            phrases,
            tuple(Option(code, words or code) for code, _, words in options) or (Option("", ""),),
            phrases[0].split()[0] in _NAMING,
        )


@cache
def primitives() -> tuple[Primitive, ...]:
    """Every primitive, in the order of `data/primitives.txt`."""
    return tuple(_read(files("textbookgen_procedural").joinpath("data/primitives.txt").read_text(encoding="utf-8")))


@cache
def by_name() -> dict[str, Primitive]:
    """Every primitive by its name."""
    return {primitive.name: primitive for primitive in primitives()}
