"""The sampler `least-covered`: values that few accepted documents have, with higher probability."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, ClassVar

from pydantic import Field

from textbookgen.api.sampler import AcceptedStats, Grid
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.fields import FieldsSampler, Values


class LeastCoveredSampler(FieldsSampler):
    """Draws a value of each field, with a higher probability the fewer accepted documents have it.

    For recipes whose filters reject some values more than others: a grid balances what is requested, this what is
    accepted. Each further key is a field with a list.
    """

    name: ClassVar[str] = "least-covered"
    adapts: ClassVar[bool] = True
    __pydantic_extra__: dict[str, Values]

    strength: float = Field(
        2.0,
        ge=0,
        description="exponent of the preference for rare values; 0 draws all values with equal probability",
    )

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return a value for each field, weighted by its rarity among accepted documents."""
        draw = {}
        for name, values in self.fields.items():
            counts = [stats.draws.get(name, Counter())[str(value)] for value in values]
            weights = [((1 + min(counts)) / (1 + count)) ** self.strength for count in counts]
            draw[name] = rng.choices(values, weights)[0]
        return draw

    def grid(self) -> Grid:
        """Return all combinations of the fields' values."""
        return Grid(tuple(self.fields), len(ConstrainedGrid(self.fields)))
