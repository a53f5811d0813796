"""Stories: the words, the features and the number of paragraphs that the draw asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_procedural.stories import abstract_of, write_story
from textbookgen_procedural.stories.inflection import fix_articles, past
from textbookgen_procedural.stories.story_data import plots, story_sentences

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

    def has(templates: Iterable[str], features: list[str]) -> bool:
        story = " ".join(write_story(Random(seed), {**draw, "features": features}).split())
        parts = [re.split(r"\{[^}]*\}|\[[^\]]*\]", template) for template in templates]
        return any(all(item.strip(" .") in story for item in part if len(item) > 8) for part in parts)

    assert has(all_lines("t"), ["Twist"])
    assert has(story_sentences()["payoff"], ["Foreshadowing"])
    assert has(all_lines("-"), ["BadEnding"])
    assert not has(all_lines("+"), ["BadEnding"])
    assert has(all_lines("+"), ["HappyEnding"])
    assert has(all_lines("m"), ["MoralValue"])
    assert has(all_lines("c"), ["Conflict"])


def all_lines(letter: str) -> list[str]:
    return [line for plot in plots() for line in plot.lines[letter]]


def test_every_plot_has_all_its_parts():
    assert len(plots()) >= 12
    for plot in plots():
        assert all(len(plot.lines[letter]) >= 2 for letter in "dlon+-m"), plot.name
        assert all(plot.lines[letter] for letter in "chtsgb"), plot.name


def test_a_noun_plays_a_part_that_suits_its_class():
    def story(noun: str, seed: int) -> str:
        return write_story(Random(seed), {"verb": "paint", "noun": noun, "adjective": "red"})

    for seed in range(30):
        assert re.search(r"little zebra|young zebra", story("zebra", seed))
        assert "a farmer" in story("farmer", seed).lower()
        assert re.search(r"(?:his|her) sister", story("sister", seed).lower())
        assert "in the kitchen" in story("kitchen", seed).lower()
        assert "some honey" in story("honey", seed)
        assert not re.search(r"\ba honey|\ba rain|honeys", story("honey", seed))
        assert re.search(r"\ba (?:red )?kite\b", story("kite", seed))


def test_a_planned_verb_comes_back_at_the_end():
    for seed in range(30):
        story = write_story(Random(seed), {"verb": "bake", "noun": "kite", "adjective": "red", "features": ["HappyEnding"]})
        first, second = story.find("bake bread"), story.find("baked bread")
        assert 0 < first < second


def test_every_word_of_the_default_lists_has_a_role():
    lists = pytest.importorskip("textbookgen_tinystories.vocabulary")
    verbs, nouns, adjectives = (lists.word_list(name) for name in ("verbs", "nouns", "adjectives"))
    for n in range(len(nouns)):
        verb, noun, adjective = verbs[n % len(verbs)], nouns[n], adjectives[n % len(adjectives)]
        story = write_story(Random(n), {"verb": verb, "noun": noun, "adjective": adjective})
        present = lists.text_words(lists.tokens(story))
        assert all(lists.contains_word(word, present) for word in (verb, noun, adjective)), (verb, noun, adjective, story)
        assert not re.search(r"[.?!] [a-z]", story), story


@pytest.mark.parametrize("seed", range(60))
def test_an_abstract_tells_the_plot_and_how_it_ends(seed):
    good = abstract_of(
        write_story(Random(seed), {"verb": "sing", "noun": "kite", "adjective": "red", "features": ["HappyEnding"]})
    )
    bad = abstract_of(
        write_story(Random(seed), {"verb": "sing", "noun": "kite", "adjective": "red", "features": ["BadEnding"]})
    )
    assert good != bad
    for abstract in (good, bad):
        assert 10 <= len(abstract.split()) <= 50
        assert 2 <= len(re.findall(r"[.!?](?: |$)", abstract.replace("Mrs. ", ""))) <= 3
        assert "kite" in abstract
    assert abstract_of("Tom saw a fox. It ran away.") == ""


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
