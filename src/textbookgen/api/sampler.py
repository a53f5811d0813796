"""Sampler: what is drawn for document n, which is what keeps the writing various."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.artifacts import Artifact

Worked = TypeVar("Worked")
_WORD = re.compile(r"[\w'\u2019]+")

#: What samplers that hold others find those by, as a recipe calls them; set while a recipe is planned.
KNOWN: ContextVar[Mapping[str, type[Sampler]]] = ContextVar("known samplers")


@dataclass(frozen=True)
class Grid:
    """What a sampler's draws can cover: the fields whose values make a cell together, and how many cells there are."""

    fields: tuple[str, ...]
    cells: int

    def cell(self, draw: Mapping[str, Any]) -> tuple[str, ...]:
        """The cell that a draw lies in."""
        return tuple(str(draw.get(name)) for name in self.fields)


class Target(BaseModel):
    """What the documents that a stage accepts are to be like together: how seldom they begin alike, how much they cover."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    openings: float | None = Field(None, gt=0, le=1, description="no opening in more than this share of the documents")
    words: int = Field(5, gt=0, description="an opening is so many first words, case apart")
    coverage: float | None = Field(
        None, gt=0, le=1, description="at least this share of the sampler's combinations, each in some document"
    )

    def max_same_opening(self, count: int) -> int:
        """How many of `count` documents may begin alike; one always may."""
        return count if self.openings is None else max(1, int(self.openings * count + 1e-9))


@dataclass
class AcceptedStats:
    """What the parts already on disk hold: `documents` accepted so far, how often each value was drawn, and texts' openings.

    `draws[field][value]` counts the accepted documents for which `field` was drawn as `value` (as text; each of a list);
    `openings[words]` counts accepted documents by their first words (five unless the stage's target says otherwise),
    lower-cased. `cells` and `attempted` count by the sampler's ground, if it has one: accepted documents, and all there were.
    """

    documents: int = 0
    draws: dict[str, Counter[str]] = field(default_factory=dict)
    openings: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, ...]] = field(default_factory=Counter)
    attempted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    grid: Grid | None = None
    words: int = 5
    _worked: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def add(self, draw: Mapping[str, Any], text: str) -> None:
        """Counts one accepted document."""
        self._worked.clear()
        self.documents += 1
        for name, value in draw.items():
            for item in value if isinstance(value, list | tuple) else (value,):
                self.draws.setdefault(name, Counter())[str(item)] += 1
        self.openings[self.opening(text)] += 1
        if self.grid is not None:
            self.cells[self.grid.cell(draw)] += 1
            self.attempted[self.grid.cell(draw)] += 1

    def add_rejected(self, draw: Mapping[str, Any]) -> None:
        """Counts one document that was written and not accepted."""
        self._worked.clear()
        if self.grid is not None:
            self.attempted[self.grid.cell(draw)] += 1

    def opening(self, text: str) -> str:
        """How a text begins: its first words, lower-case and without what stands between them."""
        return " ".join(_WORD.findall(text[: 64 * self.words].lower())[: self.words])

    def cached(self, key: Hashable, work: Callable[[], Worked]) -> Worked:
        """What `work` gives, worked once for all draws between two parts."""
        if key not in self._worked:
            self._worked[key] = work()
        result: Worked = self._worked[key]
        return result


class Sampler(BaseModel):
    """A diversity controller: its fields are the options of a `[sampler.LABEL]` table, `draw` is its work."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: ClassVar[str]
    version: ClassVar[int] = 1
    adapts: ClassVar[bool] = False  # whether `draw` looks at the tally; if so, parts are drawn one after the other

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """What document `n` is to be about: values by name, for the prompt and for teachers that are programs.

        A pure function of its arguments: `rng` is seeded by the recipe, this sampler and `n`; `seen` holds the parts
        before the one that `n` is in (and is empty unless `adapts`).
        """
        raise NotImplementedError

    def grid(self) -> Grid | None:
        """What there is to cover, for a stage whose target is a coverage; None if that cannot be counted."""
        return None

    def reads(self) -> tuple[str, ...]:
        """Labels of the stages above whose documents it draws from; each flows in before the first draw."""
        return ()

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Called once before the first draw of a run, if it `reads`: what flows in by label, and a folder to write to.

        Where nothing is run (`recipe check`, `prompt show`), draws are made without it, and any values will do.
        """
