"""Finite groups acting on themselves, with named elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

_S3_NAMES = "EABRQC"


@dataclass(frozen=True)
class Group:
    """A group by its multiplication table: `table[g][x]` is the index of g * x among the elements."""

    name: str
    elements: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]

    def act(self, action: str, value: str) -> str:
        """Return the product of two elements by name: the action applied to the value."""
        return self.elements[self.table[self.elements.index(action)][self.elements.index(value)]]


@cache
def group(name: str) -> Group:
    """Return a group by name: `Z2` (signs), `Z3`, `Z4`, ... (addition modulo k), or `S3` (permutations of three elements).

    Raises:
        ValueError: There is no group with this name.
    """
    if name == "Z2":
        return Group("Z2", ("+1", "-1"), ((0, 1), (1, 0)))
    if name == "S3":
        return _s3()
    if name[:1] == "Z" and name[1:].isdecimal() and int(name[1:]) > 2:
        k = int(name[1:])
        table = tuple(tuple((g + x) % k for x in range(k)) for g in range(k))
        return Group(name, tuple(map(str, range(k))), table)
    raise ValueError(f"unknown group '{name}': available are Z2, Z3, Z4 and so on, and S3")


def _s3() -> Group:
    """Return the six permutations of three elements in lexicographic order: E is the identity, R and Q are the rotations."""
    elements = list(permutations(range(3)))
    table = tuple(tuple(elements.index(_compose(g, x)) for x in elements) for g in elements)
    return Group("S3", tuple(_S3_NAMES), table)


def _compose(g: Sequence[int], x: Sequence[int]) -> tuple[int, ...]:
    return tuple(g[image] for image in x)
