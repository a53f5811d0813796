"""The sampler `uncovered`: combinations that the fewest accepted documents have."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from textbookgen.api.sampler import AcceptedStats, Grid
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.fields import FieldsSampler, Never, Values, digest, permute

#: All combinations are held in memory, so their number is limited.
MAX_CELLS = 1_000_000


class UncoveredSampler(FieldsSampler):
    """Draws the combinations of its fields' values that the fewest accepted documents have.

    Where filters reject much, a grid leaves gaps. This sampler returns to them in random order, and gives up on
    combinations that are rejected again and again. Each further key is a field with a list; at most a million combinations.
    """

    name: ClassVar[str] = "uncovered"
    adapts: ClassVar[bool] = True
    __pydantic_extra__: dict[str, Values]

    never: Never = ()
    patience: int = Field(
        10,
        gt=0,
        description="give up on a combination after this many rejected documents, plus as many again for each accepted one",
    )
    seed: int = Field(0, description="another seed gives another order of the combinations")
    _key: str = PrivateAttr()
    _cells: list[tuple[tuple[str, ...], dict[str, Any]]] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """List the combinations in random order, each with its cell of the grid."""
        cells = ConstrainedGrid(self.fields, self.never)
        if len(cells) > MAX_CELLS:
            raise ValueError(f"{len(cells):,} combinations are too many to track (maximum {MAX_CELLS:,}); use `grid` instead")
        self._key = digest(self.seed, *self.fields.items())
        grid = self.grid()
        draws = [cells[permute(n, len(cells), self._key)] for n in range(len(cells))]
        self._cells = [(grid.cell(draw), draw) for draw in draws]

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return one of the least covered combinations; consecutive `n` cycle through all of them."""
        candidates = stats.cached(self._key, lambda: self._least_covered(stats))
        return self._cells[candidates[n % len(candidates)]][1]

    def _least_covered(self, stats: AcceptedStats) -> list[int]:
        """Return the indices of the combinations with the fewest accepted documents, without those it gave up on."""
        counts = [
            (stats.cells[cell], index)
            for index, (cell, _) in enumerate(self._cells)
            if stats.attempted[cell] - stats.cells[cell] < self.patience * (1 + stats.cells[cell])
        ] or [(0, index) for index in range(len(self._cells))]
        minimum = min(count for count, _ in counts)
        return [index for count, index in counts if count == minimum]

    def grid(self) -> Grid:
        """Return the allowed combinations."""
        return Grid(tuple(self.fields), len(ConstrainedGrid(self.fields, self.never)))
