"""The judge of stories: faults of each criterion are found and named, and damaged stories get lower grades."""

from __future__ import annotations

import json
import re
from random import Random

import pytest
from textbookgen_procedural.story_judge import judge_story
from textbookgen_procedural.story_judge.grammar import find_grammar_faults
from textbookgen_procedural.story_judge.sentences import split_story
from textbookgen_procedural.tasks import TASKS

WORDS = [
    ("jump", "boat", "red"),
    ("sing", "drum", "old"),
    ("dig", "kite", "tiny"),
    ("hide", "cake", "soft"),
    ("climb", "frog", "cold"),
]

LILY = "Lily had a red kite that she loved very much. One windy day the string slipped out of her hand, and the kite"
GOOD = (
    ' flew over the trees. "Come back!" cried Lily. She ran after it with her friend Tom. They looked behind every bush. At last'
    " Tom saw the kite in a nest. A bird sat on it and looked very proud. Lily laughed and gave the bird a ribbon for its nest. Then"
    " the bird let the kite go, and Lily took it home. From then on she held the string with both hands."
)


def story(seed: int) -> str:
    verb, noun, adjective = WORDS[seed % len(WORDS)]
    draw = {"verb": verb, "noun": noun, "adjective": adjective, "features": [], "paragraphs": 3 + seed % 3}
    return TASKS["story"](Random(f"judge {seed}"), draw)


def mean(beginning: str, completion: str) -> float:
    judged = judge_story(beginning, completion)
    return (judged.grammar + judged.creativity + judged.consistency + judged.plot) / 4


def sentences(text: str) -> list[str]:
    return [item.strip() for item in re.findall(r"[^.!?\n]+[.!?]+\"?", text)]


def test_damaged_stories_get_lower_grades():
    rng, ordered, below = Random(3), 0, 0
    for seed in range(60):
        whole, other = sentences(story(seed)), sentences(story(seed + 101))
        original = mean("", story(seed))
        shuffled = mean("", " ".join(rng.sample(whole, len(whole))))
        swapped = mean("", " ".join(whole[: len(whole) // 2] + other[len(other) // 2 :]))
        words = story(seed).split()
        ordered += original > shuffled > swapped
        below += (
            original > mean("", " ".join(whole[:4] * 3)) and original > mean("", " ".join(rng.sample(words, len(words)))) + 4
        )
    assert ordered >= 0.95 * 60
    assert below == 60


@pytest.mark.parametrize(
    "sentence",
    [
        "The the dog ran home.",
        "He go to the park.",
        "They was happy.",
        "She did not went home.",
        "A apple fell down.",
        "Tom and i ran home.",
        "He has went to bed.",
        "Ben saw the of a tree.",
        "the dog ran home.",
        "Ben wanted to the And ran.",
        "He the ball into a box.",
        "Apple river boat stone tree lamp.",
    ],
)
def test_faults_of_grammar_are_found(sentence: str):
    (notes,) = split_story("", sentence).sentences
    assert list(find_grammar_faults(notes))


@pytest.mark.parametrize(
    "sentence",
    [
        "She wished that he were as tall as a tree.",
        "Did he have an umbrella?",
        'She asked, "Can I have it?"',
        "It was an hour before they came back.",
        "Nobody knew that that was the one.",
        "Mom let him go with Tom and me.",
        "On the day of the show, Aunt May was in the garden with Mr. Brown.",
        "What Tom saw in the box made them laugh.",
        "She had had a very, very long day.",
        "Who was that?",
    ],
)
def test_correct_sentences_have_no_faults_of_grammar(sentence: str):
    (notes,) = split_story("", sentence).sentences
    assert list(find_grammar_faults(notes)) == []


def test_a_completion_that_begins_in_mid_sentence_loses_nothing():
    judged = judge_story(LILY, GOOD)
    assert judged.grammar == 10 and judged.consistency >= 9 and judged.plot >= 8
    assert not judged.faults["grammar"]
    assert judge_story(LILY, " The dog was big. It ran home.").consistency < judged.consistency


def test_strangers_lower_consistency_and_are_named():
    other = " was old. Max and Nora went to the shop. Max bought a lamp. Nora gave the lamp to the mailman. Max was proud."
    judged = judge_story(LILY, other)
    assert judged.consistency <= 3 and judged.plot <= 5
    assert "nobody introduced Max" in judged.faults["consistency"]
    introduced = judge_story(LILY, GOOD.replace("her friend Tom", "a boy named Tom"))
    assert introduced.consistency == judge_story(LILY, GOOD).consistency


KITE = "Lily had a red kite. One windy day the string slipped, and the kite flew away. Lily ran after the kite. She was sad."
FOUND = " At last Lily saw the kite in a tree. She climbed up and took the kite home. Lily was happy, and she held the string tight."
TEA, CAREFUL = " She had tea with her mom. The tea was sweet.", " From that day on Lily was careful."
POND = " The frog swam in the pond. Ben gave the frog a leaf. The frog jumped on the leaf and was happy. Ben laughed, too."


def test_two_stories_put_together_are_told_from_one():
    one, two = judge_story("", KITE + FOUND), judge_story("", KITE + POND)
    assert one.consistency >= 9 and two.consistency <= 4 and two.plot < one.plot
    (note,) = [fault for fault in two.faults["consistency"] if "something else" in fault]
    assert "Ben" in note
    assert not any("something else" in fault for fault in one.faults["consistency"])


@pytest.mark.parametrize(
    ("original", "damaged", "fault"),
    [
        (FOUND, ' "Where is it?"' + FOUND, "nobody says"),
        (FOUND + TEA + CAREFUL, CAREFUL + FOUND + TEA, "an ending too early"),
        (
            " She saw a boat. The boat was blue." + FOUND,
            " The boat was blue. She saw a boat." + FOUND,
            "introduced twice: a boat",
        ),
    ],
)
def test_faults_of_order_are_named(original: str, damaged: str, fault: str):
    good, bad = judge_story("", KITE + original), judge_story("", KITE + damaged)
    assert any(fault in note for note in bad.faults["plot"]), bad.faults
    assert not any(fault in note for note in good.faults["plot"])
    assert bad.plot < good.plot


def test_in_the_end_does_not_end_a_story_and_will_is_a_name():
    text = KITE + " In the end Will and Lily agreed to look for it. Will looked here, and Lily looked there." + FOUND
    judged = judge_story("", text.replace("Lily had", "Lily and her friend Will had"))
    assert not judged.faults["grammar"]
    assert not any("too early" in note for note in judged.faults["plot"])


def test_low_grades_are_not_praised():
    judged = judge_story(
        LILY, " fell. Max met Nora. Nora gave Max a lamp. Max was proud. Nora told Jo about the lamp. Jo was glad."
    )
    for name in ("creativity", "consistency", "plot"):
        assert getattr(judged, name) > 6 or judged.faults[name], name


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("The cat sat. It ran. The dog ran. He is big. The cat is red.", "A"),
        ("Lily had a ball. She threw it to Tom. Tom ran after it, and the dog ran too. They were happy.", "AB"),
        (
            "Although the celebration had been arranged with considerable enthusiasm, nobody anticipated that the mysterious "
            "photographer, who had travelled across several continents, would eventually reveal an extraordinary secret.",
            "F",
        ),
    ],
)
def test_the_age_group_follows_from_readability(text: str, groups: str):
    assert judge_story("", text).age in groups


def test_empty_and_broken_completions_get_the_lowest_grades():
    for completion in ("", "   ", "...", "!!!"):
        judged = judge_story("Lily had a", completion)
        assert (judged.grammar, judged.creativity, judged.consistency, judged.plot, judged.age) == (1, 1, 1, 1, "A")


def test_the_assessment_names_what_lowered_the_grades():
    row = {"id": "x", "text": LILY + " are", "tinystories.beginning": LILY, "tinystories.completion": " they was the the."}
    text = TASKS["assess-story"](Random(0), {"document": row})
    grades = json.loads(TASKS["grade-story"](Random(0), {"document": row}))
    assert "subject and verb do not agree" in text
    assert grades["grammar"] < 5


@pytest.mark.parametrize(
    "completion",
    [
        " claiggyence Coco pizza c PapaOne Sage\ufffdupra bothm learnedama car\ufffd called little Flora next\ufffd cle ll ide Lisa Ella little"
        " The their felt ribbo Emilt a tiny f bring Somebody K Ma pickedvel shook are drum down house good flag",
        " saidy, but he did itYou ratherWill but one name withay sorry. It of that the more warmum, she had said to your hand. The!",
        " it wherenamekinItInT never stone the pict al somebody everything his sentence stran badgether big thanked Mr JustCome /",
    ],
    ids=["tokens in no order", "after few steps of training", "after no training"],
)
def test_what_untrained_models_write_gets_low_grades_in_everything(completion: str):
    judged = judge_story("Oscar broke the blue vase. Nobody had seen it. When his father asked who did it, Oscar", completion)
    assert max(judged.grammar, judged.creativity, judged.plot) <= 4
    assert mean("Oscar", completion) <= 4
