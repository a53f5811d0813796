"""Types of the values that exercises pass along: their annotations, variable names, and example values."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from textbookgen_procedural.data_files import words

ValueType = Literal["ints", "strs", "str", "int", "bool", "dict", "grid", "runs", "word_groups", "number_groups"]

#: The annotation of each type in a signature.
ANNOTATIONS: dict[ValueType, str] = {
    "ints": "list[int]",
    "strs": "list[str]",
    "str": "str",
    "int": "int",
    "bool": "bool",
    "dict": "dict[str, int]",
    "grid": "list[list[int]]",
    "runs": "list[list[int]]",
    "word_groups": "dict[str, list[str]]",
    "number_groups": "dict[int, list[int]]",
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
    "grid": tuple(Variable(name, "row", "row") for name in ("grid", "matrix", "board")),
    "dict": tuple(Variable(name, "entry", "key") for name in ("table", "entries", "record")),
}

#: The empty value of each type a parameter can have.
EMPTY_VALUES: dict[ValueType, Any] = {"ints": [], "strs": [], "str": "", "int": 0, "grid": [], "dict": {}}

#: The types a parameter can have, by annotation.
PARAMETER_TYPES: dict[str, ValueType] = {ANNOTATIONS[value_type]: value_type for value_type in VARIABLES}

WORDS = words("example words")
_KEYS = ("oak", "ink", "tea", "sun", "map", "apple", "sand", "elm", "tin")


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
    if value_type == "grid":
        return _grid(rng)
    if value_type == "dict":
        return {key: rng.randint(0, 9) for key in rng.sample(_KEYS, rng.randint(2, 5))} if rng.random() > 0.03 else {}
    return rng.randint(1, 12) if rng.random() < 0.6 else rng.randint(13, 99)


def _numbers(rng: Random) -> list[int]:
    low, high = rng.choice(((-9, 12), (0, 9), (-5, 20), (1, 15), (0, 30)))
    numbers = rng.choices(range(low, high + 1), k=rng.randint(3, 6))
    if rng.random() < 0.4:
        numbers.insert(rng.randrange(len(numbers) + 1), rng.choice(numbers))
    return numbers if rng.random() > 0.03 else []


def _grid(rng: Random) -> list[list[int]]:
    side = rng.choice((2, 2, 3))
    return [[rng.randint(0, 9) for _ in range(side)] for _ in range(side)]


def _text(rng: Random) -> str:
    chosen = rng.sample(WORDS, rng.choice((1, 2, 2, 3)))
    if rng.random() < 0.3:
        chosen.append(str(rng.randint(0, 999)))
    if rng.random() < 0.2:
        chosen[0] = chosen[0].capitalize()
    text = ("," if rng.random() < 0.15 else " ").join(chosen)
    return f" {text} " if rng.random() < 0.05 else text
