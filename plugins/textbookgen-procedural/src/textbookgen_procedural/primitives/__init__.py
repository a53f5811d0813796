"""The library of primitives: one-line steps over lists, strings and numbers, each with the phrases that ask for it."""

from __future__ import annotations

from functools import cache

from textbookgen_procedural.primitives.numbers import NUMBERS
from textbookgen_procedural.primitives.primitive import Option, Primitive
from textbookgen_procedural.primitives.texts import TEXTS

__all__ = ["PRIMITIVES", "Option", "Primitive", "by_name", "taking"]

PRIMITIVES: tuple[Primitive, ...] = (*NUMBERS, *TEXTS)


@cache
def by_name() -> dict[str, Primitive]:
    """Every primitive by its name."""
    return {primitive.name: primitive for primitive in PRIMITIVES}


@cache
def taking(kind: str, level: int) -> tuple[Primitive, ...]:
    """The primitives of this level or below that start from a value of this kind."""
    return tuple(each for each in PRIMITIVES if each.takes == kind and each.level <= level)
