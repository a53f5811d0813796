"""Coverage: how evenly the values of each field occur, and how much of a grid is covered, by what documents show."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textbookgen import Table
from textbookgen.api.hashing import stable_hash
from textbookgen.api.rows import SHOWN, shown_values

#: A field with more values is free text and is not counted.
MAX_VALUES = 10_000


@dataclass
class DrawCounts:
    """How often each value of each field of `draw` occurs, and which combinations of the grid.

    A value counts for a document that shows it, if its generator checked that (`textbookgen.api.rows.shown_values`); else it
    counts as declared: it was drawn, and not checked.

    Attributes:
        documents: documents with a draw.
        values: per field the number of documents with each value.
        checked: per field the number of documents for which it was checked.
        missing: per field the number of documents that do not show the drawn value.
        free_text: fields with too many values to count.
        combinations: hashes of the combinations that occur.
    """

    documents: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)
    checked: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    free_text: set[str] = field(default_factory=set)
    combinations: set[int] = field(default_factory=set)

    def basis(self, *names: str) -> str:
        """Return on what the counts of some fields rest: `shown`, `declared`, or `partly shown`."""
        checked = sum(self.checked[name] for name in names)
        return "shown" if checked == len(names) * self.documents else "partly shown" if checked else "declared"


def count_draws(table: Table, fields: Sequence[str], grid: Sequence[str]) -> DrawCounts:
    """Count the draws of a corpus.

    Args:
        table: the corpus, read once.
        fields: fields to count; all if empty.
        grid: fields whose combinations are counted; each combination takes some 30 bytes of memory.
    """
    counts = DrawCounts()
    for part in table.parts:
        names = [name for name in part.scan().collect_schema().names() if name == "draw" or name.endswith(SHOWN)]
        frame = part.read(names)
        for text, shown in zip(frame["draw"], shown_values(frame), strict=True):
            draw = json.loads(text) if text else {}
            if not draw:
                continue
            counts.documents += 1
            missing = {name for name, value in shown.items() if value is None}
            counts.checked.update(list(shown))
            counts.missing.update(missing)
            values = {name: value for name, value in {**draw, **shown}.items() if name not in missing}
            _count_values(counts, values, fields or tuple(draw))
            if grid and not missing & set(grid):
                counts.combinations.add(stable_hash("\x1f".join(str(values.get(name)) for name in grid)))
    return counts


def _count_values(counts: DrawCounts, draw: Mapping[str, Any], fields: Sequence[str]) -> None:
    for name in fields:
        if name in counts.free_text or name not in draw:
            continue
        value = draw[name]
        counter = counts.values.setdefault(name, Counter())
        counter.update(map(str, value) if isinstance(value, list) else (str(value),))
        if len(counter) > MAX_VALUES:
            counts.free_text.add(name)
            del counts.values[name]


def evenness(counts: Mapping[str, int], possible: int) -> float:
    """Return Shannon's entropy of the values relative to its maximum: 1 if all `possible` values are equally frequent."""
    total = sum(counts.values())
    if possible < 2 or not total:
        return 1.0
    entropy = -sum(count / total * math.log(count / total) for count in counts.values() if count)
    return entropy / math.log(possible)


def coverage_metrics(counts: DrawCounts, grid: Mapping[str, int]) -> Iterator[tuple[str, float, int]]:
    """Yield metric, value and count for each field and for the grid.

    Args:
        counts: the draws.
        grid: the number of possible values of each field of the grid.
    """
    for name, values in sorted(counts.values.items()):
        possible = grid.get(name, len(values))
        if possible < 2:
            continue
        basis = counts.basis(name)
        yield f"evenness of {name} (entropy, {basis})", evenness(values, possible), len(values)
        if name in grid:
            yield f"values of {name} covered ({basis})", len(values) / possible, len(values)
    for name, checked in sorted(counts.checked.items()):
        yield f"documents that show the drawn {name}", 1 - counts.missing[name] / checked, checked
    if grid and counts.documents:
        share = len(counts.combinations) / math.prod(grid.values())
        yield f"combinations covered ({counts.basis(*grid)})", share, len(counts.combinations)
