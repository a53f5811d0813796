"""The compositions reserved for the benchmark `exercises-heldout`, read from `data/held_out.txt`."""

from __future__ import annotations

from functools import cache

from textbookgen_procedural.compositions import Step
from textbookgen_procedural.data_files import read_lines
from textbookgen_procedural.primitives import primitives_by_name


@cache
def held_out_items() -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """Return the function name and the steps of each item, with its options and first phrases, in the order of the file."""
    lines = (line.partition(": ") for line in read_lines("held_out"))
    return tuple((name, tuple(map(_read_step, steps.split(" > ")))) for name, _, steps in lines)


@cache
def held_out_steps() -> tuple[tuple[Step, ...], ...]:
    """Return the steps of each item."""
    return tuple(steps for _, steps in held_out_items())


def _read_step(text: str) -> Step:
    name, _, code = text.partition(" ")
    primitive = primitives_by_name()[name]
    return Step(primitive, next(option for option in primitive.options if option.code == code), 0)
