"""The sampler: deterministic, within its weights, and never drawing constraints that exclude each other."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_tinystories.story_constraints import StoryConstraints
from textbookgen_tinystories.vocabulary import word_list

from textbookgen.api.sampler import AcceptedStats


def draws(sampler: StoryConstraints, count: int) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in range(count)]


def test_draws_are_deterministic():
    assert draws(StoryConstraints(), 50) == draws(StoryConstraints(), 50)


def test_features_are_evenly_0_to_3_without_repeats_or_two_endings():
    samples = draws(StoryConstraints(), 4_000)
    counts = Counter(len(sample["features"]) for sample in samples)
    assert counts.keys() == {0, 1, 2, 3}
    assert all(900 < count < 1_100 for count in counts.values())
    assert all(len(set(sample["features"])) == len(sample["features"]) for sample in samples)
    assert not any({"BadEnding", "HappyEnding"} <= set(sample["features"]) for sample in samples)
    assert all(3 <= sample["paragraphs"] <= 5 for sample in samples)


def test_features_follow_their_weights():
    sampler = StoryConstraints(feature_counts=(0, 1), feature_weights={"Twist": 3, "Conflict": 1, "Dialogue": 0})
    counts = Counter(sample["features"][0] for sample in draws(sampler, 4_000))
    assert counts.keys() == {"Twist", "Conflict"}
    assert 2.6 < counts["Twist"] / counts["Conflict"] < 3.4


def test_words_are_drawn_from_the_lists_or_the_given_ones():
    samples = draws(StoryConstraints(nouns=("gnu",)), 3_000)
    assert {sample["noun"] for sample in samples} == {"gnu"}
    assert {sample["verb"] for sample in samples} == set(word_list("verbs"))


@pytest.mark.parametrize(
    "options",
    [
        {"paragraphs": (5, 3)},
        {"paragraphs": (0, 3)},
        {"feature_counts": (0, 0)},
        {"feature_counts": (2, -1)},
        {"feature_weights": {"Twist": -1}},
        {"feature_weights": {"Twist": 1, "Conflict": 1}},
        {"feature_weights": {"BadEnding": 1, "HappyEnding": 1, "Twist": 1}},
        {"feature_weights": {"Surprise": 1}},
    ],
)
def test_impossible_options_are_rejected(options: dict):
    with pytest.raises(ValidationError):
        StoryConstraints(**options)
