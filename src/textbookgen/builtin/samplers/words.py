"""The sampler `words`: a few distinct words of each of several lists."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen.api.sampler import AcceptedStats
from textbookgen.builtin.samplers.fields import FieldsSampler, Values

#: A number, or a minimum and a maximum.
Count = int | tuple[int, int]


class WordsSampler(FieldsSampler):
    """Draws words from each of several lists, without repetition within a list.

    Each further key is a field with a list. With `k = 1` the field is a single word, otherwise a list of words.
    TinyStories (arXiv 2305.07759) requires a noun, a verb and an adjective in every story, and several features in some.
    """

    name: ClassVar[str] = "words"
    __pydantic_extra__: dict[str, Values]

    k: Count | dict[str, Count] = Field(
        1,
        description="words drawn from each list: a number, a minimum and a maximum, or a table of these by field, such as "
        "{ features = [0, 3] }",
    )

    @model_validator(mode="after")
    def _has_enough_words(self) -> WordsSampler:
        if isinstance(self.k, dict) and (unknown := sorted(self.k.keys() - self.fields.keys())):
            raise ValueError(f"`k` names '{unknown[0]}', but there is no such list")
        for name, words in self.fields.items():
            low, high = self._range(name)
            if not 0 <= low <= high <= len(words):
                raise ValueError(f"cannot draw {low} to {high} words from the {len(words)} words of `{name}`")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return for each field a word, or a list of words in the order they were drawn."""
        values: dict[str, Any] = {}
        for name, words in self.fields.items():
            low, high = self._range(name)
            chosen = rng.sample(words, rng.randint(low, high))
            values[name] = chosen[0] if (low, high) == (1, 1) else chosen
        return values

    def _range(self, name: str) -> tuple[int, int]:
        k = self.k.get(name, 1) if isinstance(self.k, dict) else self.k
        return (k, k) if isinstance(k, int) else k
