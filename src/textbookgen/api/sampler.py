"""Sampler: the prompt variables of document n, and the statistics by which samplers and targets steer diversity."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.artifacts import Artifact

Value = TypeVar("Value")
_WORD = re.compile(r"[\w'\u2019]+")


@dataclass(frozen=True)
class Grid:
    """The combinations that a sampler can draw, for measuring coverage.

    Attributes:
        fields: the variables whose values identify a cell, in a fixed order.
        cells: the number of distinct combinations of their values.
    """

    fields: tuple[str, ...]
    cells: int

    def cell(self, draw: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the cell of a draw: the value of each field as text; `"None"` for a field that was not drawn."""
        return tuple(str(draw.get(name)) for name in self.fields)

    def shown_cell(self, draw: Mapping[str, Any], shown: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the cell that a document is in; None if it does not show a value of a field that can be checked.

        Args:
            draw: the variables it was written from.
            shown: for fields that can be checked, what it shows (see `textbookgen.api.rows.shown_values`).
        """
        if any(name in shown and shown[name] is None for name in self.fields):
            return None
        return self.cell({**draw, **shown})


class Target(BaseModel):
    """Diversity that the accepted documents of a stage must reach together.

    The stage rejects documents that would break the target and keeps drawing; the report states whether it was reached.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    openings: float | None = Field(None, gt=0, le=1, description="maximum share of the documents with the same opening")
    opening_words: int = Field(5, gt=0, description="length of an opening: this many first words, ignoring case")
    coverage: float | None = Field(
        None, gt=0, le=1, description="minimum share of the sampler's combinations that occur in at least one document"
    )

    def max_same_opening(self, count: int) -> int:
        """Return how many of `count` documents may have the same opening; at least one."""
        return count if self.openings is None else max(1, int(self.openings * count + 1e-9))


@dataclass
class AcceptedStats:
    """Counts over the documents of all finished parts, for samplers that adapt and for targets.

    Samplers only read it; the engine adds documents part by part, in order, and rebuilds it from disk on resume. So it
    is the same for every draw of a part, and the same in a resumed run.

    Attributes:
        documents: accepted documents so far.
        draws: `draws[variable][value]` is the number of accepted documents for which `variable` was drawn as `value`
            (as text), or that show it, where that can be checked. Each element of a list counts by itself.
        openings: accepted documents by their first `opening_words` words, in lower case.
        cells: accepted documents by cell of `grid`; empty without a grid.
        attempted: accepted and rejected documents by drawn cell of `grid`; empty without a grid.
        grid: the sampler's grid, if it has one.
        opening_words: the length of an opening in words.
    """

    documents: int = 0
    draws: dict[str, Counter[str]] = field(default_factory=dict)
    openings: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, ...]] = field(default_factory=Counter)
    attempted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    grid: Grid | None = None
    opening_words: int = 5
    _cache: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def add(self, draw: Mapping[str, Any], text: str, shown: Mapping[str, Any] | None = None) -> None:
        """Count one accepted document, for the values that it shows where that is known, and else for those drawn.

        Args:
            draw: the variables it was written from.
            text: what a reader sees first of it (see `textbookgen.api.rows.opening_text`).
            shown: for variables that can be checked, what it shows, or None (see `textbookgen.api.rows.shown_values`).
        """
        self._cache.clear()
        self.documents += 1
        shown = shown or {}
        for name, value in {**draw, **shown}.items():
            if name in shown and value is None:
                continue
            for item in value if isinstance(value, list | tuple) else (value,):
                self.draws.setdefault(name, Counter())[str(item)] += 1
        self.openings[self.opening(text)] += 1
        if self.grid is not None:
            cell = self.grid.shown_cell(draw, shown)
            if cell is not None:
                self.cells[cell] += 1
            self.attempted[self.grid.cell(draw)] += 1

    def add_rejected(self, draw: Mapping[str, Any]) -> None:
        """Count one document that was written but not accepted."""
        self._cache.clear()
        if self.grid is not None:
            self.attempted[self.grid.cell(draw)] += 1

    def opening(self, text: str) -> str:
        """Return the opening of a text: its first `opening_words` words in lower case, separated by single spaces."""
        return " ".join(_WORD.findall(text[: 64 * self.opening_words].lower())[: self.opening_words])

    def cached(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return `compute()`, computed once for all draws of a part; adding a document clears the cache.

        Args:
            key: identifies the value; include every option that it depends on.
            compute: a function of these statistics.
        """
        if key not in self._cache:
            self._cache[key] = compute()
        value: Value = self._cache[key]
        return value


class Sampler(BaseModel):
    """A source of diversity: draws the prompt variables of each document.

    The fields of a subclass are the options of a `[sampler.LABEL]` table, each with a description. Derive from it,
    set `name`, write `draw`, and return the class from the hook `samplers`.

    A sampler that contains other samplers finds their classes in pydantic's validation context: `info.context["samplers"]`
    maps each name that a recipe can `use` to its class. See `textbookgen.builtin.samplers.product`.

    Samplers are pickled with their private attributes, and copied before `prepare`.

    Attributes:
        name: a recipe uses the sampler as `PLUGIN/NAME`.
        version: part of the step's fingerprint; raise it when the same options give other draws.
        adapts: whether `draw` reads `stats`. If so, parts are written one after the other instead of concurrently.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: ClassVar[str]
    version: ClassVar[int] = 1
    adapts: ClassVar[bool] = False

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the variables of document `n`, for the prompt template and for teachers that are programs.

        Must be a pure function of its arguments and the options, since any part may be written again on another machine.
        It is also called when a recipe is checked, with `n` 0, before `prepare`.

        Args:
            n: the number of the draw, from 0.
            rng: a generator seeded by the recipe, the stage, its sampler and `n`.
            stats: the documents accepted in earlier parts; empty unless `adapts`.

        Returns:
            Values that JSON can represent, by variable name. They are stored in the column `draw`.
        """
        raise NotImplementedError

    def grid(self) -> Grid | None:
        """Return the combinations that can be drawn, for a stage whose `target` has a coverage; None if not countable."""
        return None

    def reads(self) -> tuple[str, ...]:
        """Return the labels of the stages whose documents it draws from; they must be Documents."""
        return ()

    def prepare(self, inputs: Mapping[str, Artifact], folder: Path) -> None:
        """Prepare to draw from the documents of earlier stages; called once per run, only if `reads` returns labels.

        It is not called where nothing is run (`recipe check`, `prompt show`): `draw` must then return placeholders.

        Args:
            inputs: the Documents of the stages in `reads`, by label.
            folder: the step's own folder, kept between runs until the step is finished. It may not exist yet.
        """
