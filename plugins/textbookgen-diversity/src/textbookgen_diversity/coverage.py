"""Coverage of what was drawn: how evenly the values of each field occur, and how much of a grid is covered."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textbookgen import Table
from textbookgen.api.hashing import stable_hash

#: A field with more values is free text and is not counted.
MAX_VALUES = 10_000


@dataclass
class DrawCounts:
    """How often each value of each field of `draw` occurs, and which combinations of the grid.

    Attributes:
        documents: documents with a draw.
        values: per field the number of documents with each value.
        free_text: fields with too many values to count.
        combinations: hashes of the combinations that occur.
    """

    documents: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)
    free_text: set[str] = field(default_factory=set)
    combinations: set[int] = field(default_factory=set)


def count_draws(table: Table, fields: Sequence[str], grid: Sequence[str]) -> DrawCounts:
    """Count the draws of a corpus.

    Args:
        table: the corpus, read once.
        fields: fields to count; all if empty.
        grid: fields whose combinations are counted; each combination takes some 30 bytes of memory.
    """
    counts = DrawCounts()
    for frame in table.frames(["draw"]):
        for text in frame["draw"]:
            draw = json.loads(text) if text else {}
            if not draw:
                continue
            counts.documents += 1
            _count_values(counts, draw, fields or tuple(draw))
            if grid:
                counts.combinations.add(stable_hash("\x1f".join(str(draw.get(name)) for name in grid)))
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
        yield f"evenness of {name} (entropy)", evenness(values, possible), len(values)
        if name in grid:
            yield f"values of {name} covered", len(values) / possible, len(values)
    if grid and counts.documents:
        yield "combinations covered", len(counts.combinations) / math.prod(grid.values()), len(counts.combinations)
