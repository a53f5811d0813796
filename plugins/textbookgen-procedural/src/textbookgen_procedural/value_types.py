"""Types of the values that exercises pass along: their annotations, variable names, and example values."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from textbookgen_procedural.data_files import words

ValueType = Literal["ints", "strs", "str", "int", "bool", "dict"]

#: The annotation of each type in a signature.
ANNOTATIONS: dict[ValueType, str] = {
    "ints": "list[int]",
    "strs": "list[str]",
    "str": "str",
    "int": "int",
    "bool": "bool",
    "dict": "dict[str, int]",
}


@dataclass(frozen=True)
class Variable:
    """A variable's name, the noun for one of its elements, and the letter that loops over it; docstrings use the same nouns."""

    name: str
    one: str
    letter: str


def _plurals(heading: str, letter: str) -> tuple[Variable, ...]:
    return tuple(Variable(name, name.removesuffix("s"), letter) for name in words(heading))


def _singulars(heading: str) -> tuple[Variable, ...]:
    return tuple(Variable(name, name, "c") for name in words(heading))


#: Names for a parameter of each type; the first also names intermediate values of that type.
VARIABLES: dict[ValueType, tuple[Variable, ...]] = {
    "ints": _plurals("list variables", "n"),
    "strs": _plurals("word list variables", "w"),
    "str": _singulars("text variables"),
    "int": _singulars("number variables"),
}

#: The types a parameter can have, by annotation.
PARAMETER_TYPES: dict[str, ValueType] = {ANNOTATIONS[value_type]: value_type for value_type in VARIABLES}

WORDS = words("example words")


def example_value(value_type: ValueType, rng: Random) -> Any:
    """Return a small value of this type, as a test would pass it."""
    if value_type == "ints":
        return _numbers(rng)
    if value_type == "strs":
        chosen = rng.sample(WORDS, rng.randint(2, 4))
        if rng.random() < 0.4:
            chosen.insert(rng.randrange(len(chosen) + 1), rng.choice(chosen))
        return chosen if rng.random() > 0.03 else []
    if value_type == "str":
        return _text(rng)
    return rng.randint(1, 12) if rng.random() < 0.6 else rng.randint(13, 99)


def _numbers(rng: Random) -> list[int]:
    low, high = rng.choice(((-9, 12), (0, 9), (-5, 20), (1, 15), (0, 30)))
    numbers = [rng.randint(low, high) for _ in range(rng.randint(3, 6))]
    if rng.random() < 0.4:
        numbers.insert(rng.randrange(len(numbers) + 1), rng.choice(numbers))
    return numbers if rng.random() > 0.03 else []


def _text(rng: Random) -> str:
    chosen = rng.sample(WORDS, rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.3:
        chosen.append(str(rng.randint(0, 999)))
    if rng.random() < 0.2:
        chosen[0] = chosen[0].capitalize()
    text = ("," if rng.random() < 0.15 else " ").join(chosen)
    return f" {text} " if rng.random() < 0.05 else text
