"""Shared by samplers whose further options are the variables they draw, and random orders without stored permutations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from textbookgen.api.sampler import Sampler


def _as_list(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise ValueError("must be a list of values, not a table")
    return value if isinstance(value, list | tuple) else (value,)


#: A list of values; a single value is a list of one.
Values = Annotated[tuple[Any, ...], BeforeValidator(_as_list), Field(min_length=1)]

#: Combinations that must not be drawn: each rule maps fields to values (one or a list) that exclude each other.
Never = Annotated[
    tuple[dict[str, Any], ...],
    Field(
        description="combinations to exclude, each a table of fields and a value or a list of values: "
        'never = [{ audience = "child", topic = ["tax law", "thermodynamics"] }]'
    ),
]


class FieldsSampler(Sampler):
    """A sampler that takes arbitrary further options: each is a variable to draw."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def fields(self) -> dict[str, Any]:
        """The values of each variable, in the order of the recipe."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _has_fields(self) -> FieldsSampler:
        if not self.fields:
            raise ValueError('has no variables: add keys with lists, such as topic = ["rain", "snow"] or topic = "@topics.txt"')
        return self


def walk(n: int, size: int, key: str) -> int:
    """Return the index visited at step `n` of an endless walk over `range(size)`.

    Every index is visited once before any is visited again; each pass has a different pseudorandom order.
    """
    lap, step = divmod(n, size)
    return permute(step, size, f"{key}/{lap}")


def permute(index: int, size: int, key: str) -> int:
    """Return the image of `index` under a keyed pseudorandom permutation of `range(size)`.

    A four-round Feistel cipher (Luby and Rackoff, 1988) over the next even power of two, with cycle walking until the
    result is in range (Black and Rogaway, 2002): fewer than four encryptions on average, and no memory.
    """
    half = ((size - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while size > 1:
        left, right = index >> half, index & mask
        for turn in range(4):
            left, right = right, left ^ (int(digest(key, turn, right), 16) & mask)
        index = left << half | right
        if index < size:
            return index
    return 0


def digest(*facts: object) -> str:
    """Return 32 hexadecimal digits that identify these values, the same on every machine."""
    return hashlib.blake2b("\x1f".join(map(repr, facts)).encode(), digest_size=16).hexdigest()
