"""The sampler `lines`: a line of a list, such as a persona."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field

from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.builtin.samplers.fields import Values, walk


class LinesSampler(Sampler):
    """Draws each line of a list once, in random order, before drawing any again: personas, seeds, instructions."""

    name: ClassVar[str] = "lines"

    lines: Values = Field(description='the lines: a list, or "@personas.txt"')
    field: str = Field("line", description="name of the variable in prompts")
    words: int | None = Field(
        None, gt=0, description="draw only this many consecutive words of a longer line, from a random position"
    )
    seed: int = Field(0, description="another seed gives another order of the lines")

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return one line, or an excerpt of it."""
        line = self.lines[walk(n, len(self.lines), f"{self.field}/{self.seed}")]
        words = str(line).split()
        if self.words is None or len(words) <= self.words:
            return {self.field: line}
        start = rng.randint(0, len(words) - self.words)
        return {self.field: " ".join(words[start : start + self.words])}
