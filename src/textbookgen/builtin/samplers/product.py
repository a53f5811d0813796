"""The sampler `product`: the variables of several samplers together."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from textbookgen.api.artifacts import Artifact
from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats, Grid, Sampler
from textbookgen.builtin.samplers.fields import FieldsSampler
from textbookgen.builtin.samplers.nested import create_nested

#: Draws that `never` may exclude in a row before the sampler gives up.
_MAX_REDRAWS = 1_000


class ProductSampler(FieldsSampler):
    """Combines the variables of several samplers: each further key is a table with `use` and that sampler's options.

    The names of the tables serve the reader only. Samplers that adapt to accepted documents cannot be inside a product;
    put the product inside them.
    """

    name: ClassVar[str] = "product"
    __pydantic_extra__: dict[str, dict[str, Any]]

    never: tuple[dict[str, Any], ...] = Field(
        (),
        description="combinations across samplers to exclude, each a table of variables and a value or a list of values: "
        'never = [{ audience = "child", persona = ["a tax lawyer"] }]; an excluded draw is repeated',
    )
    _parts: dict[str, Sampler] = PrivateAttr()

    @model_validator(mode="after")
    def _create_parts(self, info: ValidationInfo) -> ProductSampler:
        self._parts = {name: create_nested(name, table, info.context) for name, table in self.fields.items()}
        for name, part in self._parts.items():
            if part.adapts:
                raise ValueError(
                    f"`{name}`: '{part.name}' adapts to accepted documents; use it around `product`, not inside it"
                )
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the variables of all parts; if two parts draw the same variable, the later one wins.

        Raises:
            RunError: `never` excludes everything, or nearly so.
        """
        for attempt in range(_MAX_REDRAWS):
            values = self._draw_parts(rng.getrandbits(40) if attempt else n, rng, stats)
            if not any(_matches(rule, values) for rule in self.never):
                return values
        raise RunError(f"`never` excluded {_MAX_REDRAWS} draws in a row", hint="the rules may leave no combination")

    def _draw_parts(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for part in self._parts.values():
            values |= part.draw(n, Random(rng.getrandbits(64)), stats)
        return values

    def grid(self) -> Grid | None:
        """Return the product of the parts' grids; None if no part has one, or if `never` makes it uncountable."""
        grids = [grid for part in self._parts.values() if (grid := part.grid()) is not None]
        if not grids or self.never:
            return None
        return Grid(tuple(name for grid in grids for name in grid.fields), prod(grid.cells for grid in grids))

    def reads(self) -> tuple[str, ...]:
        """Return the stages that the parts read."""
        return tuple(dict.fromkeys(label for part in self._parts.values() for label in part.reads()))

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Prepare the parts."""
        for part in self._parts.values():
            part.prepare(inputs, folder)


def _matches(rule: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether each variable of a rule has one of the rule's values; of a list, one element suffices."""
    for name, excluded in rule.items():
        value = values.get(name)
        listed = excluded if isinstance(excluded, list | tuple) else [excluded]
        if not any(item in listed for item in (value if isinstance(value, list | tuple) else [value])):
            return False
    return True
