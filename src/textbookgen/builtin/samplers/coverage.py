"""Samplers that look at what was accepted, and draw what is missing."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from textbookgen.api.sampler import AcceptedStats, Grid
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.fields import Fields, Never, Values, digest, permuted

#: More combinations than this are not held side by side.
MOST_CELLS = 1_000_000


class LeastCoveredSampler(Fields):
    """A value for each field, the more likely the less often it was accepted so far.

    For recipes whose judges refuse some values more than others: a grid covers what is asked for, this what is kept. Each
    further key is a field with a list.
    """

    name: ClassVar[str] = "least-covered"
    adapts: ClassVar[bool] = True
    __pydantic_extra__: dict[str, Values]

    strength: float = Field(
        2.0, ge=0, description="0 draws all values alike; the higher, the more the least covered come first"
    )

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """A value for each field, weighed by how rare it is among accepted documents."""
        drawn = {}
        for name, values in self.fields.items():
            counts = [seen.draws.get(name, Counter())[str(value)] for value in values]
            weights = [((1 + min(counts)) / (1 + count)) ** self.strength for count in counts]
            drawn[name] = rng.choices(values, weights)[0]
        return drawn

    def grid(self) -> Grid:
        """Every combination of the fields' values."""
        return Grid(tuple(self.fields), len(ConstrainedGrid(self.fields)))


class UncoveredSampler(Fields):
    """A combination of its fields' values, those first that the fewest accepted documents have.

    Where a judge refuses much, a grid leaves holes; this goes back to them, in a mixed order, and leaves alone the
    combinations that were refused too often. Each further key is a field with a list; a million combinations at most.
    """

    name: ClassVar[str] = "uncovered"
    adapts: ClassVar[bool] = True
    __pydantic_extra__: dict[str, Values]

    never: Never = ()
    patience: int = Field(
        10, gt=0, description="a combination is left alone when so many times more documents were refused than accepted of it"
    )
    seed: int = Field(0, description="another seed goes through the combinations in another order")
    _salt: str = PrivateAttr()
    _cells: list[tuple[tuple[str, ...], dict[str, Any]]] = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Lists the combinations once, in a mixed order, each with what it is counted by."""
        cells = ConstrainedGrid(self.fields, self.never)
        if len(cells) > MOST_CELLS:
            raise ValueError(f"{len(cells):,} combinations are more than can be looked after; `grid` walks as many as you like")
        self._salt = digest(self.seed, *self.fields.items())
        grid = self.grid()
        drawn = [cells[permuted(n, len(cells), self._salt)] for n in range(len(cells))]
        self._cells = [(grid.cell(draw), draw) for draw in drawn]

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """One of the least covered combinations; documents of one part get others, as far as there are."""
        least = seen.cached(self._salt, lambda: self._least(seen))
        return self._cells[least[n % len(least)]][1]

    def _least(self, seen: AcceptedStats) -> list[int]:
        """The combinations that fewest accepted documents have, of those that are not hopeless."""
        hopeful = [
            (seen.cells[cell], at)
            for at, (cell, _) in enumerate(self._cells)
            if seen.attempted[cell] - seen.cells[cell] < self.patience * (1 + seen.cells[cell])
        ] or [(0, at) for at in range(len(self._cells))]
        fewest = min(count for count, _ in hopeful)
        return [at for count, at in hopeful if count == fewest]

    def grid(self) -> Grid:
        """Every combination that is allowed."""
        return Grid(tuple(self.fields), len(ConstrainedGrid(self.fields, self.never)))


def worn_out(seen: AcceptedStats, share: float) -> list[str]:
    """Openings that more than this share of accepted documents have, the most frequent first; none while only one has it."""
    often = sorted(
        ((words, count) for words, count in seen.openings.items() if count > max(1, share * seen.documents)),
        key=lambda item: (-item[1], item[0]),
    )
    return [words for words, _ in often]
