"""Sampler: what is drawn for document n, which is what keeps the writing various."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


@dataclass
class Tally:
    """What the parts already on disk hold: `documents` accepted so far, how often each value was drawn, and texts' openings.

    `draws[field][value]` counts the accepted documents for which `field` was drawn as `value` (as text; each of a list);
    `openings[words]` counts accepted documents by their first five words, lower-cased.
    """

    documents: int = 0
    draws: dict[str, Counter[str]] = field(default_factory=dict)
    openings: Counter[str] = field(default_factory=Counter)

    def add(self, draw: Mapping[str, Any], text: str) -> None:
        """Counts one accepted document."""
        self.documents += 1
        for name, value in draw.items():
            for each in value if isinstance(value, list | tuple) else (value,):
                self.draws.setdefault(name, Counter())[str(each)] += 1
        self.openings[" ".join(text.lower().split()[:5])] += 1


class Sampler(BaseModel):
    """A diversity controller: its fields are the options of a `[sampler.LABEL]` table, `draw` is its work."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    version: ClassVar[int] = 1
    adapts: ClassVar[bool] = False  # whether `draw` looks at the tally; if so, parts are drawn one after the other

    def draw(self, n: int, rng: Random, seen: Tally) -> dict[str, Any]:
        """What document `n` is to be about: values by name, for the prompt and for teachers that are programs.

        A pure function of its arguments: `rng` is seeded by the recipe, this sampler and `n`; `seen` holds the parts
        before the one that `n` is in (and is empty unless `adapts`).
        """
        raise NotImplementedError
