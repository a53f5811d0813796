"""Few-shot examples: which solved problems precede an item, chosen exactly as lm-evaluation-harness 0.4.13 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from textbookgen.api.errors import RunError

#: The default few-shot seed of lm-evaluation-harness.
SEED = 1234

#: What separates solved examples from each other and from the item.
SEPARATOR = "\n\n"

Row = Mapping[str, Any]


class ExampleSampler:
    """Draws examples for one item after another: the result depends on how many items came before.

    Args:
        rows: rows with solved problems.
        shots: examples per item.
        first: take the first rows for every item, as for MMLU, rather than drawing them.
        without_own: leave out rows that equal the item's. lm-evaluation-harness does so where its task has no test split; it is
            required where the examples come from the scored file.
        name: name of the benchmark, for error messages.

    Raises:
        RunError: there are too few rows.
    """

    def __init__(self, rows: Sequence[Row], shots: int, *, first: bool, without_own: bool, name: str) -> None:
        if shots + without_own > len(rows):
            hint = "give fewer `shots`, or a larger file as `examples`"
            raise RunError(f"`{name}` has {len(rows)} rows to draw {shots} examples from", hint=hint)
        self._rows, self._shots, self._first, self._without_own = list(rows), shots, first, without_own
        self._random = Random(SEED)

    def draw(self, row: Row) -> list[Row]:
        """Return the examples that precede the item of this row."""
        if self._first:
            others = (example for example in self._rows if not (self._without_own and example == row))
            return [example for example, _ in zip(others, range(self._shots), strict=False)]
        if not self._without_own:
            return self._random.sample(self._rows, self._shots)
        chosen = [example for example in self._random.sample(self._rows, self._shots + 1) if example != row][: self._shots]
        if len(chosen) < self._shots:  # the file has the row several times
            chosen = self._random.sample([example for example in self._rows if example != row], self._shots)
        return chosen
