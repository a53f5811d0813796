"""Stories: the words, the features and the number of paragraphs that were asked for."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_procedural.stories import write_story
from textbookgen_procedural.stories.data import moments, plots, subjects, word_classes
from textbookgen_procedural.stories.inflection import mend_articles, past

VERBS = ["go", "eat", "carry", "hop", "bake", "rain", "shine", "matter", "write", "zoom", "unknownverb"]
NOUNS = ["cake", "dog", "mom", "rain", "scissors", "school", "idea", "apple", "umbrella", "hour", "unknownthing"]
ADJECTIVES = ["brave", "red", "afraid", "few", "dead", "kind", "orange", "able", "unknownlike"]
FEATURES = ["Dialogue", "BadEnding", "HappyEnding", "MoralValue", "Twist", "Foreshadowing", "Conflict"]

draws = st.fixed_dictionaries(
    {
        "verb": st.sampled_from(VERBS),
        "noun": st.sampled_from(NOUNS),
        "adjective": st.sampled_from(ADJECTIVES),
        "features": st.lists(st.sampled_from(FEATURES), unique=True, max_size=4),
        "paragraphs": st.integers(3, 5),
    }
)


def test_paragraphs_hold_together_what_was_asked_for():
    seen: set[str] = set()

    @settings(deadline=None, max_examples=300)
    @given(draws, st.integers(0, 2**32))
    def check(draw, seed):
        story = write_story(Random(seed), draw)
        words = set(re.findall(r"[a-z]+", story.lower()))
        assert words & {draw["verb"], past(draw["verb"])}
        assert draw["noun"] in words and draw["adjective"] in words
        assert story.count("\n\n") + 1 == draw["paragraphs"]
        assert 70 <= len(story.split()) <= 300
        assert "{" not in story and "[" not in story and "|" not in story
        if "Dialogue" in draw["features"]:
            assert '"' in story
        seen.update(draw["features"])

    check()
    assert seen == set(FEATURES)


@pytest.mark.parametrize("seed", range(40))
def test_features_are_told(seed):
    draw = {"verb": "run", "noun": "hat", "adjective": "red"}

    def told(name: str, features: list[str]) -> bool:
        story = write_story(Random(seed), {**draw, "features": features})
        parts = [re.escape(part) for part in re.split(r"\{\w+\}|\[[^\]]*\]", name) if len(part) > 8]
        return any(re.search(part, story) for part in parts)

    assert any(told(line, ["Twist"]) for line in moments()["twist"])
    assert any(told(line, ["Foreshadowing"]) for line in moments()["foreshadow"])
    assert any(told(line, ["BadEnding"]) for plot in plots() for line in plot.lines["-"])
    assert any(told(line, ["HappyEnding"]) for plot in plots() for line in plot.lines["+"])
    assert any(told(line, ["MoralValue"]) for plot in plots() for line in plot.lines["m"])
    assert any(told(line, ["Conflict"]) for plot in plots() for line in plot.lines["c"])


def test_every_plot_is_whole():
    assert len(plots()) >= 12
    for plot in plots():
        assert all(len(plot.lines[letter]) >= 2 for letter in "tlonu+-m")
        assert all(plot.lines[letter] for letter in "cr")


def test_word_classes_do_not_overlap_where_it_matters():
    assert not word_classes()["person"] & word_classes()["animal"]
    assert not word_classes()["feeling"] & word_classes()["nature"]
    assert "rain" in subjects()


@pytest.mark.parametrize(
    ("verb", "told"),
    [("go", "went"), ("hop", "hopped"), ("cry", "cried"), ("play", "played"), ("bake", "baked"), ("visit", "visited")],
)
def test_past_tenses(verb, told):
    assert past(verb) == told


def test_articles():
    assert (
        mend_articles("A apple, a hour, an dog, a unicorn and A old useful hat")
        == "An apple, an hour, a dog, a unicorn and An old useful hat"
    )
    assert mend_articles("a useful idea, an one, a umbrella") == "a useful idea, a one, an umbrella"
