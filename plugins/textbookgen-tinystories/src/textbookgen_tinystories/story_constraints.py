"""Sampler for stories: a verb, a noun, an adjective, features, and the number of paragraphs."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_tinystories.vocabulary import word_list

Feature = Literal["Dialogue", "BadEnding", "HappyEnding", "MoralValue", "Twist", "Foreshadowing", "Conflict"]

_EXCLUDES: dict[str, str] = {"BadEnding": "HappyEnding", "HappyEnding": "BadEnding"}


class StoryConstraints(Sampler):
    """Draw a required `verb`, `noun` and `adjective`, required `features`, and the number of `paragraphs`.

    TinyStories (arXiv 2305.07759, section 2) draws one word of each kind out of about 1,500 and a random subset of
    features. How it draws features is not published: here their number is drawn by `feature_counts`, then that many
    features by `feature_weights`, without repeats and never a bad and a happy ending together.
    """

    name: ClassVar[str] = "story-constraints"

    verbs: tuple[str, ...] = Field((), description="verbs; by default the plugin's 460")
    nouns: tuple[str, ...] = Field((), description="nouns; by default the plugin's 882")
    adjectives: tuple[str, ...] = Field((), description="adjectives; by default the plugin's 396")
    feature_counts: tuple[float, ...] = Field(
        (1, 1, 1, 1), min_length=1, max_length=7, description="weights of 0, 1, 2, … features per story"
    )
    feature_weights: dict[Feature, float] = Field(
        {"Dialogue": 1, "BadEnding": 1, "HappyEnding": 1, "MoralValue": 1, "Twist": 1, "Foreshadowing": 1, "Conflict": 1},
        description="relative weight of each feature",
    )
    paragraphs: tuple[int, int] = Field((3, 5), description="minimum and maximum number of paragraphs")

    @model_validator(mode="after")
    def _check_ranges(self) -> StoryConstraints:
        low, high = self.paragraphs
        if not 0 < low <= high:
            raise ValueError("`paragraphs` must be [minimum, maximum], both at least 1")
        if min(self.feature_counts) < 0 or sum(self.feature_counts) <= 0:
            raise ValueError("`feature_counts` must be weights of at least 0, one of them above 0")
        if any(weight < 0 for weight in self.feature_weights.values()):
            raise ValueError("`feature_weights` must be at least 0")
        available = {feature for feature, weight in self.feature_weights.items() if weight > 0}
        if len(available) - (available >= _EXCLUDES.keys()) < len(self.feature_counts) - 1:
            raise ValueError(
                f"`feature_counts` asks for up to {len(self.feature_counts) - 1} features, more than have a weight above 0"
            )
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one story."""
        return {
            "verb": rng.choice(self.verbs or word_list("verbs")),
            "noun": rng.choice(self.nouns or word_list("nouns")),
            "adjective": rng.choice(self.adjectives or word_list("adjectives")),
            "features": self._features(rng),
            "paragraphs": rng.randint(*self.paragraphs),
        }

    def _features(self, rng: Random) -> list[str]:
        (count,) = rng.choices(range(len(self.feature_counts)), self.feature_counts)
        weights: dict[str, float] = {feature: weight for feature, weight in self.feature_weights.items() if weight > 0}
        features: list[str] = []
        for _ in range(count):
            (feature,) = rng.choices(list(weights), list(weights.values()))
            features.append(feature)
            del weights[feature]
            weights.pop(_EXCLUDES.get(feature, ""), None)
        return features
