"""Keeps combinations of words and features out of training, so that a model can be tested on what it never saw together."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from textbookgen import Filter


class HeldOut(Filter):
    """Drops stories that were asked to hold all words and features of a combination, or keeps only those.

    TinyStories-Instruct (arXiv 2305.07759) is for testing whether a model follows instructions it has not seen in this
    combination: train on what flows out of one stage, test on another with `keep = "held-out"`. Looked at are the columns
    `tinystories.words` and `tinystories.features`.
    """

    name: ClassVar[str] = "held-out"

    combinations: tuple[tuple[str, ...], ...] = Field(
        min_length=1, description='what must not come together, such as [["Twist", "sad"], ["Dialogue", "BadEnding"]]'
    )
    keep: Literal["others", "held-out"] = Field("others", description="which stories are kept")

    @field_validator("combinations")
    @classmethod
    def _not_empty(cls, combinations: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if any(not item for item in combinations):
            raise ValueError("a combination needs at least one word or feature: an empty one would hold out everything")
        return combinations

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """A verdict for each story; the reason is `held out` or `not held out`, the detail is the combination."""
        asked = [name for name in ("tinystories.words", "tinystories.features") if name in docs.columns]
        result = [self._found({item for name in asked for item in row[name] or ()}) for row in docs.iter_rows(named=True)]
        keep = [(item is None) == (self.keep == "others") for item in result]
        reason = "held out" if self.keep == "others" else "not held out"
        return pl.DataFrame(
            {
                "id": docs["id"],
                "keep": keep,
                "reason": [None if kept else reason for kept in keep],
                "detail": [" + ".join(item) if item else None for item in result],
            },
            schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "detail": pl.String},
        )

    def _found(self, asked: set[str]) -> tuple[str, ...] | None:
        return next((item for item in self.combinations if asked.issuperset(item)), None)
