"""The sampler: pure, within its weights, and never asking for what cannot be."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_tinystories.draws import Words
from textbookgen_tinystories.words import word_list

from textbookgen.api.sampler import AcceptedStats


def draws(sampler: Words, count: int) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in range(count)]


def test_the_same_numbers_draw_the_same():
    assert draws(Words(), 50) == draws(Words(), 50)


def test_features_are_evenly_0_to_3_without_repeats_or_two_endings():
    drawn = draws(Words(), 4_000)
    counts = Counter(len(each["features"]) for each in drawn)
    assert counts.keys() == {0, 1, 2, 3}
    assert all(900 < each < 1_100 for each in counts.values())
    assert all(len(set(each["features"])) == len(each["features"]) for each in drawn)
    assert not any({"BadEnding", "HappyEnding"} <= set(each["features"]) for each in drawn)
    assert all(3 <= each["paragraphs"] <= 5 for each in drawn)


def test_weights_weigh():
    sampler = Words(feature_counts=(0, 1), feature_weights={"Twist": 3, "Conflict": 1, "Dialogue": 0})
    counts = Counter(each["features"][0] for each in draws(sampler, 4_000))
    assert counts.keys() == {"Twist", "Conflict"}
    assert 2.6 < counts["Twist"] / counts["Conflict"] < 3.4


def test_words_come_from_the_lists_or_from_yours():
    drawn = draws(Words(nouns=("gnu",)), 3_000)
    assert {each["noun"] for each in drawn} == {"gnu"}
    assert {each["verb"] for each in drawn} == set(word_list("verbs"))


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
def test_what_cannot_be_drawn_is_refused(options: dict):
    with pytest.raises(ValidationError):
        Words(**options)
