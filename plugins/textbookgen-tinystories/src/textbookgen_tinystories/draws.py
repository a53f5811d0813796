"""Draws what a story must hold: a verb, a noun, an adjective, and some features."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_tinystories.words import word_list

Feature = Literal["Dialogue", "BadEnding", "HappyEnding", "MoralValue", "Twist", "Foreshadowing", "Conflict"]

_EXCLUDES: dict[str, str] = {"BadEnding": "HappyEnding", "HappyEnding": "BadEnding"}


class Words(Sampler):
    """Draws `verb`, `noun` and `adjective` that a story must hold, `features` it must have, and its `paragraphs`.

    TinyStories (arXiv 2305.07759, section 2) draws one word of each kind out of about 1,500 and a random subset of
    features. It does not say how features were drawn: here their number is drawn by `feature_counts`, then so many by
    `feature_weights`, without repeats and never a bad and a happy ending at once.
    """

    name: ClassVar[str] = "words"

    verbs: tuple[str, ...] = Field((), description="verbs to draw from; the plugin's unless given")
    nouns: tuple[str, ...] = Field((), description="nouns to draw from; the plugin's unless given")
    adjectives: tuple[str, ...] = Field((), description="adjectives to draw from; the plugin's unless given")
    feature_counts: tuple[float, ...] = Field(
        (1, 1, 1, 1), min_length=1, max_length=7, description="weights of having 0, 1, 2, ... features"
    )
    feature_weights: dict[Feature, float] = Field(
        {"Dialogue": 1, "BadEnding": 1, "HappyEnding": 1, "MoralValue": 1, "Twist": 1, "Foreshadowing": 1, "Conflict": 1},
        description="how often each feature is drawn, against the others",
    )
    paragraphs: tuple[int, int] = Field((3, 5), description="fewest and most paragraphs")

    @model_validator(mode="after")
    def _drawable(self) -> Words:
        low, high = self.paragraphs
        if not 0 < low <= high:
            raise ValueError("`paragraphs` are the fewest and the most, at least 1")
        if min(self.feature_counts) < 0 or sum(self.feature_counts) <= 0:
            raise ValueError("`feature_counts` are weights: none below 0, one above")
        if any(weight < 0 for weight in self.feature_weights.values()):
            raise ValueError("`feature_weights` are weights: none below 0")
        drawable = {item for item, weight in self.feature_weights.items() if weight > 0}
        if len(drawable) - (drawable >= _EXCLUDES.keys()) < len(self.feature_counts) - 1:
            raise ValueError(f"{len(self.feature_counts) - 1} features cannot be drawn from those with a weight")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """What one story must hold."""
        return {
            "verb": rng.choice(self.verbs or word_list("verbs")),
            "noun": rng.choice(self.nouns or word_list("nouns")),
            "adjective": rng.choice(self.adjectives or word_list("adjectives")),
            "features": self._features(rng),
            "paragraphs": rng.randint(*self.paragraphs),
        }

    def _features(self, rng: Random) -> list[str]:
        (count,) = rng.choices(range(len(self.feature_counts)), self.feature_counts)
        left: dict[str, float] = {item: weight for item, weight in self.feature_weights.items() if weight > 0}
        drawn: list[str] = []
        for _ in range(count):
            (feature,) = rng.choices(list(left), list(left.values()))
            drawn.append(feature)
            del left[feature]
            left.pop(_EXCLUDES.get(feature, ""), None)
        return drawn
