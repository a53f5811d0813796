"""Held-out combinations of words and features, to test a model on instructions it was not trained on."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from textbookgen import Filter

_COLUMNS = ("tinystories.words", "tinystories.features")


class HeldOut(Filter):
    """Drop stories whose required words and features include a whole combination, or keep only those.

    TinyStories-Instruct (arXiv 2305.07759) tests whether a model follows instructions in combinations it has not seen: train
    on the output of one such stage, and test on that of another with `keep = "held-out"`. The columns `tinystories.words` and
    `tinystories.features` are read.
    """

    name: ClassVar[str] = "held-out"

    combinations: tuple[tuple[str, ...], ...] = Field(
        min_length=1,
        description='combinations of words and features to hold out, such as [["Twist", "sad"], ["Dialogue", "BadEnding"]]',
    )
    keep: Literal["others", "held-out"] = Field("others", description="which stories are kept")

    @field_validator("combinations")
    @classmethod
    def _check_not_empty(cls, combinations: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        if any(not combination for combination in combinations):
            raise ValueError("a combination must have at least one word or feature; an empty one would hold out every story")
        return combinations

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return a verdict per story; the reason is `held out` or `not held out`, the detail is the combination."""
        columns = [name for name in _COLUMNS if name in docs.columns]
        matches = [
            self._match({constraint for name in columns for constraint in row[name] or ()})
            for row in docs.iter_rows(named=True)
        ]
        keep = [(match is None) == (self.keep == "others") for match in matches]
        reason = "held out" if self.keep == "others" else "not held out"
        return pl.DataFrame(
            {
                "id": docs["id"],
                "keep": keep,
                "reason": [None if kept else reason for kept in keep],
                "detail": [" + ".join(match) if match else None for match in matches],
            },
            schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "detail": pl.String},
        )

    def _match(self, constraints: set[str]) -> tuple[str, ...] | None:
        """The first combination that is part of a story's constraints."""
        return next((combination for combination in self.combinations if constraints.issuperset(combination)), None)
