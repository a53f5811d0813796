"""The sampler `weighted`: a value of each field by weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from textbookgen.api.sampler import AcceptedStats
from textbookgen.builtin.samplers.fields import FieldsSampler, Values

Weights = dict[str, Annotated[float, Field(ge=0)]]


class WeightedSampler(FieldsSampler):
    """Draws a value of each field with a probability proportional to its weight.

    Each further key is a field: a table of values and weights (`tone = { plain = 3, funny = 1 }`), or a list of values
    with equal weights.
    """

    name: ClassVar[str] = "weighted"
    __pydantic_extra__: dict[str, Weights | Values]

    @model_validator(mode="after")
    def _has_positive_weights(self) -> WeightedSampler:
        for name, values in self.fields.items():
            if isinstance(values, dict) and not sum(values.values()) > 0:
                raise ValueError(f"at least one weight of `{name}` must be above 0")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return a value for each field."""
        return {name: _choose(values, rng) for name, values in self.fields.items()}


def _choose(values: Mapping[str, float] | Sequence[Any], rng: Random) -> Any:
    if not isinstance(values, Mapping):
        return rng.choice(values)
    return rng.choices(list(values), cum_weights=list(accumulate(values.values())))[0]
