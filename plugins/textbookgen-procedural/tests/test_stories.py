"""Stories: the words, the features and the number of paragraphs that the draw asks for."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_procedural.stories import write_story
from textbookgen_procedural.stories.inflection import fix_articles, past
from textbookgen_procedural.stories.story_data import plots, story_sentences, verb_subjects, word_classes

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


def test_a_story_has_the_words_features_and_paragraphs_of_the_draw():
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
def test_each_feature_has_its_sentence(seed):
    draw = {"verb": "run", "noun": "hat", "adjective": "red"}

    def has(name: str, features: list[str]) -> bool:
        story = write_story(Random(seed), {**draw, "features": features})
        parts = [re.escape(part) for part in re.split(r"\{\w+\}|\[[^\]]*\]", name) if len(part) > 8]
        return any(re.search(part, story) for part in parts)

    assert any(has(line, ["Twist"]) for line in story_sentences()["twist"])
    assert any(has(line, ["Foreshadowing"]) for line in story_sentences()["foreshadow"])
    assert any(has(line, ["BadEnding"]) for plot in plots() for line in plot.lines["-"])
    assert any(has(line, ["HappyEnding"]) for plot in plots() for line in plot.lines["+"])
    assert any(has(line, ["MoralValue"]) for plot in plots() for line in plot.lines["m"])
    assert any(has(line, ["Conflict"]) for plot in plots() for line in plot.lines["c"])


def test_every_plot_has_all_its_parts():
    assert len(plots()) >= 12
    for plot in plots():
        assert all(len(plot.lines[letter]) >= 2 for letter in "tlonu+-m")
        assert all(plot.lines[letter] for letter in "cr")


def test_word_classes_do_not_overlap_where_it_matters():
    assert not word_classes()["person"] & word_classes()["animal"]
    assert not word_classes()["feeling"] & word_classes()["nature"]
    assert "rain" in verb_subjects()


@pytest.mark.parametrize(
    ("verb", "past_tense"),
    [("go", "went"), ("hop", "hopped"), ("cry", "cried"), ("play", "played"), ("bake", "baked"), ("visit", "visited")],
)
def test_past_tenses(verb, past_tense):
    assert past(verb) == past_tense


def test_articles():
    assert (
        fix_articles("A apple, a hour, an dog, a unicorn and A old useful hat")
        == "An apple, an hour, a dog, a unicorn and An old useful hat"
    )
    assert fix_articles("a useful idea, an one, a umbrella") == "a useful idea, a one, an umbrella"
