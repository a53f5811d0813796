"""The sampler `grid`: every combination of its fields' values, in random order."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from textbookgen.api.sampler import AcceptedStats, Grid
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.fields import FieldsSampler, Never, Values, digest, walk


class GridSampler(FieldsSampler):
    """Draws every combination of its fields' values once, in random order, before drawing any again.

    Each further key is a field: a list of values, or a single value that is always drawn. Combination `n` is computed
    without enumerating the ones before it, so a grid of billions costs no more than one of ten.
    """

    name: ClassVar[str] = "grid"
    __pydantic_extra__: dict[str, Values]

    never: Never = ()
    seed: int = Field(0, description="another seed gives another order of the combinations")
    _key: str = PrivateAttr()
    _cells: ConstrainedGrid = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Count the combinations, and derive the order from the values, so that two grids are drawn independently."""
        self._key = digest(self.seed, *self.fields.items())
        self._cells = ConstrainedGrid(self.fields, self.never)

    @property
    def cells(self) -> int:
        """The number of allowed combinations."""
        return len(self._cells)

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return combination `n` of the random order: a value for each field."""
        return self._cells[walk(n, self.cells, self._key)]

    def grid(self) -> Grid:
        """Return the allowed combinations of the fields that have more than one value."""
        return Grid(tuple(name for name, values in self.fields.items() if len(values) > 1), self.cells)
