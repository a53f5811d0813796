"""Stories: the words, the features and the number of paragraphs that the draw asks for."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from textbookgen_procedural.stories import abstract_of, write_story
from textbookgen_procedural.stories.inflection import fix_articles, past
from textbookgen_procedural.stories.story_data import (
    events,
    kind_of,
    noun_classes,
    places,
    plots,
    settings,
    spots,
    topics,
    verb_complements,
)

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

    @hypothesis_settings(deadline=None, max_examples=300)
    @given(draws, st.integers(0, 2**32))
    def check(draw, seed):
        story = write_story(Random(seed), draw)
        words = set(re.findall(r"[a-z]+", story.lower()))
        assert words & {draw["verb"], past(draw["verb"])}
        assert draw["noun"] in words and draw["adjective"] in words
        assert story.count("\n\n") + 1 == draw["paragraphs"]
        assert 70 <= len(story.split()) <= 330
        assert "{" not in story and "[" not in story and "|" not in story
        if "Dialogue" in draw["features"]:
            assert '"' in story
        seen.update(draw["features"])

    check()
    assert seen == set(FEATURES)


@pytest.mark.parametrize("seed", range(40))
def test_each_feature_has_its_sentence(seed):
    draw = {"verb": "run", "noun": "hat", "adjective": "red"}

    def has(letters: str, features: list[str]) -> bool:
        story = write_story(Random(seed), {**draw, "features": features})
        return any(occurs(line, story) for plot in plots() for letter in letters for line in plot.lines[letter])

    assert has("u", ["Twist"]) and not has("+-v", ["Twist"])
    assert has("v", ["Twist", "BadEnding"]) and not has("+-u", ["Twist", "BadEnding"])
    assert has("-", ["BadEnding"]) and not has("+uv", ["BadEnding"])
    assert has("+", ["HappyEnding"]) and not has("-uv", ["HappyEnding"])
    assert has("f", ["Foreshadowing"]) and has("F", ["Foreshadowing"])
    assert has("m", ["MoralValue"]) and has("w", ["MoralValue", "BadEnding"])
    assert has("c", ["Conflict"]) and not has("cfFuv", [])


def occurs(template: str, story: str) -> bool:
    """Whether the longer parts of a template between slots and choices all occur in a story."""
    parts = (part.strip(' ."') for part in re.split(r"\{[^}]*\}|\[[^\]]*\]", template))
    return all(part in " ".join(story.split()) for part in parts if len(part) > 8)


def test_every_plot_has_all_its_parts():
    assert len(plots()) >= 20
    for plot in plots():
        assert all(len(plot.lines[letter]) >= 2 for letter in "don+-m"), plot.name
        assert all(len(plot.lines[letter]) == 2 for letter in "GTN"), plot.name
        assert all(plot.lines[letter] for letter in "lMchfFuvwsgb"), plot.name
        # A problem and two attempts without speech go before and after a sentence of a required word that is speech.
        assert any('"' not in line for line in plot.lines["o"]), plot.name
        assert sum('"' not in line for line in plot.lines["n"]) >= 2, plot.name


@pytest.mark.parametrize("part", ["noun", "verb", "adjective"])
def test_the_sentences_of_required_words_speak_of_the_two(part):
    """Every sentence after the problem is about the hero, the friend, or what they want, and has its word."""
    told = {word: sequence for word, sequence in events(part).items() if sequence[0].moment in "pn"}
    apart = [word for word, sequence in told.items() if not re.search(r"\{(?:h|f|goal|Now)\}|They", sequence[0].sentence)]
    assert len(told) >= 30 and not apart, apart
    for word, sequence in events(part).items():
        moments = {event.moment for event in sequence}
        assert ("+" in moments) == ("-" in moments), word
        assert moments <= set("opn+-"), word
        forms = {word, past(word), f"{word}s"} if part != "adjective" else {word}
        assert all(forms & set(re.findall(r"[a-z]+", event.sentence.lower())) for event in sequence), word


@pytest.mark.parametrize("part", ["noun", "verb", "adjective"])
def test_a_topic_has_its_word_and_no_other_role(part):
    lists = pytest.importorskip("textbookgen_tinystories.vocabulary")
    assert len(topics(part)) >= 100
    for word, topic in topics(part).items():
        assert lists.contains_word(word, lists.text_words(lists.tokens(topic))), word
        assert re.match(r"(?:an? |the |two |ten )?[a-z]", topic) and not topic.endswith("."), word
        assert part == "adjective" or word not in events(part), word
        if part == "noun":
            objects = frozenset().union(*(plot.classes for plot in plots())) - {"any"}
            assert not noun_classes(word) & objects and word not in places() and word not in spots(), word
        if part == "verb":
            assert word not in verb_complements(), word


def test_a_noun_with_a_topic_is_never_lost_or_found():
    for seed in range(40):
        story = write_story(Random(seed), {"verb": "sing", "noun": "volcano", "adjective": "pale"})
        assert "volcano" in story
        topic = write_story(Random(seed), {"verb": "sing", "noun": "thorn", "adjective": "pale"})
        assert re.search(r"a lion who stepped on a thorn", topic) and "the thorn was" not in topic, topic


def test_every_place_has_a_kind_with_passers_by_and_plots():
    named = {place for plot in plots() for place in plot.lines["l"]} | {place for _, place in spots().values() if place}
    named |= {place for listed in settings("homes").values() for place in listed}
    for place in named | {item.words for item in places().values()}:
        assert settings("helpers")[kind_of(place)], place
    for noun, item in places().items():
        assert set(settings("plots")[item.kind]) <= {plot.name for plot in plots()}, noun
    for kind in settings("plots"):
        assert len(settings("plots")[kind]) >= 2, kind


def test_nobody_comes_by_who_does_not_belong_there():
    for seed in range(60):
        indoors = write_story(Random(seed), {"verb": "sing", "noun": "kitchen", "adjective": "pale"})
        assert not re.search(
            r"a (?:farmer|nurse|boy with a big dog|busy squirrel|gray goose)|an old (?:owl|donkey|sailor)", indoors
        )
        sailor = write_story(Random(seed), {"verb": "sing", "noun": "sailor", "adjective": "pale"})
        opening = " ".join(sailor.split(".")[:2])
        assert not re.search(r"at home|in the kitchen|at school|in the cabin|in the old house|big hall", opening), sailor


def test_the_time_of_the_opening_suits_it():
    for seed in range(200):
        story = write_story(Random(seed), {"verb": "sing", "noun": "star" if seed % 4 else "kite", "adjective": "pale"})
        first = " ".join(re.findall(r"[^.]+\.", story)[:2])
        if re.search(r"breakfast|get up", first):
            assert "morning" in first, story
        assert not re.match(r"It was one", story)


def test_a_guest_is_taken_only_where_one_plays():
    nouns = {"school": 0, "home": 0, "kitchen": 0, "meadow": 1, "playground": 1}
    for noun, there in nouns.items():
        texts = (write_story(Random(seed), {"verb": "sing", "noun": noun, "adjective": "pale"}) for seed in range(120))
        assert any("had a guest" in text for text in texts) == bool(there), noun


def test_nobody_comes_from_home_to_a_faraway_land():
    for seed in range(120):
        story = write_story(Random(seed), {"verb": "sing", "noun": "kingdom", "adjective": "pale"})
        assert not re.search(r"breakfast|called|lived in", story.split(".")[0]), story


@pytest.mark.parametrize("adjective", ["creamy", "unknownlike", "tasty"])
def test_an_adjective_that_suits_nothing_describes_a_thing_in_a_story(adjective):
    for seed in range(40):
        story = write_story(Random(seed), {"verb": "sing", "noun": "butter", "adjective": adjective})
        assert adjective in story and f"{adjective} problem" not in story, story


def test_a_hint_that_helps_comes_before_a_good_ending_only():
    draw = {"verb": "sing", "noun": "soup", "adjective": "pale"}
    outcomes = set()
    for seed in range(60):
        for ending in ("HappyEnding", "BadEnding"):
            story = write_story(Random(seed), {**draw, "features": ["Foreshadowing", ending]})
            if "stream" in story:
                assert ("it was too short" in story) == (ending == "BadEnding"), story
                outcomes.add(ending)
    assert len(outcomes) == 2


def test_luck_is_asked_for_something_with_a_name():
    for seed in range(60):
        story = write_story(Random(seed), {"verb": "help", "noun": "kite", "adjective": "curly"})
        assert "Then we can find it" not in story and "We have to find it" not in story, story


def test_no_animal_is_helped_and_asked_for_help():
    for seed in range(150):
        story = write_story(Random(seed), {"verb": "sing", "noun": "squirrel", "adjective": "pale"})
        assert "a busy squirrel" not in story, story


def test_a_promise_is_not_given_twice():
    for seed in range(60):
        story = write_story(Random(seed), {"verb": "stay", "noun": "promise", "adjective": "sure"})
        story += write_story(Random(seed), {"verb": "smile", "noun": "hug", "adjective": "gentle"})
        promises = re.findall(r"[Ww]e will (?!not)[a-z ]+", story.split("\n\n")[0])
        assert len(promises) == len(set(promises)), story
        assert "Then we will not give up" not in story, story


def test_a_wish_and_a_problem_are_not_repeated_word_for_word():
    draw = {"verb": "beg", "noun": "hour", "adjective": "able"}
    for seed in range(40):
        story = write_story(Random(seed), draw)
        sentences = re.findall(r"[^.!?]+[.!?]", story.replace("Mr.", "Mr").replace("Mrs.", "Mrs"))
        assert len(sentences) - len({item.strip(' "') for item in sentences}) <= 1, story


def test_a_grown_up_is_no_friend_in_plots_of_children():
    for seed in range(60):
        story = write_story(Random(seed), {"verb": "run", "noun": "grandpa", "adjective": "red"})
        assert "Grandpa" in story and not re.search(r"\brace|jumping game|new (?:boy|girl)|they were lost", story), story


def test_a_noun_plays_a_part_that_suits_its_class():
    def story(noun: str, seed: int) -> str:
        return write_story(Random(seed), {"verb": "paint", "noun": noun, "adjective": "red"})

    for seed in range(30):
        assert re.search(r"little zebra|young zebra|\ba (?:red )?zebra", story("zebra", seed))
        assert "a farmer" in story("farmer", seed).lower() and "farmer's" not in story("farmer", seed)
        assert re.search(r"(?:his|her) sister", story("sister", seed).lower())
        assert "in the kitchen" in story("kitchen", seed).lower()
        assert "some honey" in story("honey", seed)
        assert not re.search(r"\ba honey|\ba rain|honeys", story("honey", seed))
        assert re.search(r"\ba (?:red )?kite\b", story("kite", seed))
        assert re.search(r"(?:under|behind|in|on|next to) [a-z ]*couch", story("couch", seed))


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
