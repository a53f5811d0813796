"""What was drawn and is there: how evenly each field's values occur, and how much of a grid is covered."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textbookgen import Table
from textbookgen_diversity.words import place

#: A field with more values than this is free text, and is not counted.
MOST_VALUES = 10_000


@dataclass
class Drawn:
    """How often each value of each field of `draw` occurs, and which cells of the grid."""

    documents: int = 0
    values: dict[str, Counter[str]] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    cells: set[int] = field(default_factory=set)


def count_draws(table: Table, fields: Sequence[str], grid: Sequence[str]) -> Drawn:
    """One walk over the corpus; `fields` are all there are unless named. Eight bytes and more stay for each cell seen."""
    result = Drawn()
    for frame in table.frames(["draw"]):
        for text in frame["draw"]:
            draw = json.loads(text) if text else {}
            if not draw:
                continue
            result.documents += 1
            _count(result, draw, fields or tuple(draw))
            if grid:
                result.cells.add(place("cell", "\x1f".join(str(draw.get(name)) for name in grid)))
    return result


def _count(result: Drawn, draw: Mapping[str, Any], fields: Sequence[str]) -> None:
    for name in fields:
        if name in result.free or name not in draw:
            continue
        value = draw[name]
        counter = result.values.setdefault(name, Counter())
        counter.update(map(str, value) if isinstance(value, list) else (str(value),))
        if len(counter) > MOST_VALUES:
            result.free.add(name)
            del result.values[name]


def evenness(counts: Mapping[str, int], possible: int) -> float:
    """Shannon's entropy of the values as a share of the most there can be: 1 where all `possible` values occur alike."""
    total = sum(counts.values())
    if possible < 2 or not total:
        return 1.0
    entropy = -sum(count / total * math.log(count / total) for count in counts.values() if count)
    return entropy / math.log(possible)


def figures(drawn: Drawn, grid: Mapping[str, int]) -> Iterator[tuple[str, float, int]]:
    """Metric, value and number for each field, and for the grid."""
    for name, counts in sorted(drawn.values.items()):
        possible = grid.get(name, len(counts))
        if possible < 2:
            continue
        yield f"evenness of {name} (entropy)", evenness(counts, possible), len(counts)
        if name in grid:
            yield f"values of {name} covered", len(counts) / possible, len(counts)
    if grid and drawn.documents:
        yield "combinations covered", len(drawn.cells) / math.prod(grid.values()), len(drawn.cells)
