"""What samplers of fields have in common: further keys that name what is drawn, and walks over all there is to draw."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from textbookgen.api.sampler import Sampler


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise ValueError("must be a list of values, not a table")
    return value if isinstance(value, list | tuple) else (value,)


#: A list of values; a value alone is a list of one.
Values = Annotated[tuple[Any, ...], BeforeValidator(_listed), Field(min_length=1)]

#: Combinations that are not to be drawn: each rule a table of fields and the values (one or a list) that do not go together.
Never = Annotated[
    tuple[dict[str, Any], ...],
    Field(
        description="combinations that make no sense, each a table of fields and a value or a list of values: "
        'never = [{ audience = "child", topic = ["tax law", "thermodynamics"] }]'
    ),
]


class Fields(Sampler):
    """A sampler whose every further key names what is drawn, and lists what it is drawn from."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def fields(self) -> dict[str, Any]:
        """What can be drawn, by name, in the order of the recipe."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _has_fields(self) -> Fields:
        if not self.fields:
            raise ValueError('draws nothing: add keys with lists, such as topic = ["rain", "snow"] or topic = "@topics.txt"')
        return self


def walk(n: int, size: int, salt: str) -> int:
    """Where step `n` of a walk over `size` places stands: every place once, then every place again in another order."""
    tour, step = divmod(n, size)
    return permuted(step, size, f"{salt}/{tour}")


def permuted(index: int, size: int, key: str) -> int:
    """Where a key's permutation of `range(size)` takes this index: a Feistel cipher, walked until it is back in range.

    Luby and Rackoff (1988) for four rounds; Black and Rogaway (2002) for the walk, of less than four steps on average.
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
    """A key of these facts, the same on every machine."""
    return hashlib.blake2b("\x1f".join(map(repr, facts)).encode(), digest_size=16).hexdigest()
