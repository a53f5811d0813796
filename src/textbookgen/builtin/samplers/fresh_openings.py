"""The sampler `fresh-openings`: another sampler's variables, and the overused openings for the prompt to forbid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from textbookgen.api.artifacts import Artifact
from textbookgen.api.sampler import AcceptedStats, Grid, Sampler
from textbookgen.builtin.samplers.nested import create_nested


class FreshOpeningsSampler(Sampler):
    """Draws another sampler's variables and adds `avoid_openings`: openings that too many accepted texts share.

    59 % of TinyStories begin with the same four words (arXiv 2504.09184); a prompt that forbids overused openings
    prevents that while the corpus is written.
    """

    name: ClassVar[str] = "fresh-openings"
    adapts: ClassVar[bool] = True

    of: dict[str, Any] = Field(description="the sampler that draws all other variables: a table with `use` and its options")
    share: float = Field(
        0.01, gt=0, le=1, description="an opening (five words) is overused if more than this share of the texts has it"
    )
    max_openings: int = Field(5, gt=0, description="maximum number of overused openings to list, the most frequent first")
    _inner: Sampler = PrivateAttr()

    @model_validator(mode="after")
    def _create_inner(self, info: ValidationInfo) -> FreshOpeningsSampler:
        self._inner = create_nested("of", self.of, info.context)
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the other sampler's variables and `avoid_openings`, an empty list while no opening is overused."""
        overused = stats.cached(("overused openings", self.share), lambda: overused_openings(stats, self.share))
        return {**self._inner.draw(n, rng, stats), "avoid_openings": overused[: self.max_openings]}

    def grid(self) -> Grid | None:
        """Return the other sampler's grid."""
        return self._inner.grid()

    def reads(self) -> tuple[str, ...]:
        """Return the stages that the other sampler reads."""
        return self._inner.reads()

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Prepare the other sampler."""
        self._inner.prepare(inputs, folder)


def overused_openings(stats: AcceptedStats, share: float) -> list[str]:
    """Return the openings that more than this share of the accepted documents have, and at least two, most frequent first."""
    counts = [(opening, count) for opening, count in stats.openings.items() if count > max(1, share * stats.documents)]
    return [opening for opening, _ in sorted(counts, key=lambda item: (-item[1], item[0]))]
