"""Primitives: one-line steps over lists, strings and numbers, each with the phrases that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

from textbookgen_procedural.data_files import read_text
from textbookgen_procedural.value_types import ValueType, Variable

_NOUN_PHRASE_STARTS = frozenset(("the", "whether", "how"))


@dataclass(frozen=True)
class Option:
    """One value of a primitive's parameter: its code, and its words in a phrase.

    Attributes:
        code: the value as code, or the name of the function's further parameter that has it.
        words: what a phrase calls it.
        is_parameter: whether `code` names a parameter.
    """

    code: str
    words: str
    is_parameter: bool = False


@dataclass(frozen=True)
class Primitive:
    """One step from a value of `input_type` to one of `output_type`: an expression, and phrases that describe exactly it.

    Attributes:
        name: its name.
        input_type: the type of the value it reads.
        output_type: the type of its result.
        level: 1 for what a beginner meets first, 3 for what comes last.
        first_only: whether it may only begin a composition, where its input is known to be small.
        code: the expression, in which `{x}` is the variable, `{e}` the letter of its loop and `{k}` the option.
        phrases: ways to ask for it.
        options: the values of its parameter.
        is_noun_phrase: whether phrases name a value ("the sum") rather than command an action.
    """

    name: str
    input_type: ValueType
    output_type: ValueType
    level: int
    first_only: bool
    code: str
    phrases: tuple[str, ...]
    options: tuple[Option, ...]
    is_noun_phrase: bool

    def expression(self, option: Option, variable: Variable) -> str:
        """Return the code of the step for this variable."""
        return self.code.format(x=variable.name, e=variable.letter, k=option.code)

    def phrase(self, index: int, option: Option, variable: Variable) -> str:
        """Return the phrase with this index for this variable."""
        return self.phrases[index].format(x=variable.name, one=variable.one, k=option.words)

    def function(self, option: Option) -> Callable[[Any], Any]:
        """Return the step as a function of one value."""
        return _compile(self.code, option.code)


@lru_cache(maxsize=8192)
def _compile(code: str, option: str) -> Callable[[Any], Any]:
    """Return the expression as a function; its code comes from this package's data only."""
    function: Callable[[Any], Any] = eval(f"lambda value: {code.format(x='value', e='e', k=option)}", {})
    return function


def _parse(text: str) -> Iterator[Primitive]:
    for block in text.split("\n== ")[1:]:
        head, code, *lines = block.strip().splitlines()
        name, types, level, *first_only = head.split(" | ")
        input_type, _, output_type = types.partition(" -> ")
        phrases = tuple(line[2:] for line in lines if line.startswith("- "))
        options = [item.partition(" ~ ") for line in lines if line.startswith("k ") for item in line[2:].split(" ; ")]
        yield Primitive(
            name,
            cast(ValueType, input_type),
            cast(ValueType, output_type),
            int(level),
            bool(first_only),
            code,
            phrases,
            tuple(Option(code, words or code) for code, _, words in options) or (Option("", ""),),
            phrases[0].split()[0] in _NOUN_PHRASE_STARTS,
        )


@cache
def primitives() -> tuple[Primitive, ...]:
    """Return every primitive, in the order of `data/primitives.txt`."""
    return tuple(_parse(read_text("primitives")))


@cache
def primitives_by_name() -> dict[str, Primitive]:
    """Return every primitive by its name."""
    return {primitive.name: primitive for primitive in primitives()}
