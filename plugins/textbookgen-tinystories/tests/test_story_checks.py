"""Story checks: each fault of a story has its reason, and good stories pass."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_tinystories.story_checks import StoryChecks

STORY = """Lily went to the park with her mom. She saw a big slide and wanted to go down it. "Mom, can I try?" she asked.
Her mom smiled and said yes. Lily climbed up the ladder, and at the top she felt scared. The slide was higher than she
had thought.

A boy was waiting behind her. He was kind. "Just sit and let go," he said. So Lily let go. They laughed all the way down.
"""
HARD = "Bureaucratic subsidies exacerbate macroeconomic stagnation, notwithstanding fiscal orthodoxy."


def verdicts(filter: StoryChecks, **row: object) -> dict:
    row = {"id": "a", "text": STORY, "tinystories.words": ["go", "slide", "high"], "tinystories.features": ["Dialogue"], **row}
    return filter.decide(pl.DataFrame([row])).row(0, named=True)


def test_a_good_story_passes():
    verdict = verdicts(StoryChecks())
    assert verdict["keep"] is True
    assert verdict["reason"] == ""
    assert verdict["score"] > 0.98


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"text": "Lily went down the high slide."}, "too short", "6 words"),
        ({"text": STORY * 6}, "too long", ""),
        ({"tinystories.words": ["go", "whale", "tasty"]}, "a required word is missing", "whale, tasty"),
        ({"text": STORY.replace('"', "")}, "no dialogue", ""),
        (
            {"text": STORY + HARD},
            "hard words",
            "bureaucratic",
        ),
        ({"text": STORY + "It wasn\u00e2\u20ac\u2122t far."}, "garbled characters", ""),
    ],
)
def test_each_fault_has_its_reason(row: dict, reason: str, detail: str):
    verdict = verdicts(StoryChecks(min_coverage=0.95), **row)
    assert verdict["keep"] is False
    assert verdict["reason"] == reason
    assert detail in verdict["detail"]


def test_limits_and_vocabulary_are_options():
    assert verdicts(StoryChecks(max_words=20))["reason"] == "too long"
    text = STORY + "The axolotl had an axolotl."
    assert verdicts(StoryChecks(min_coverage=1.0), text=text)["detail"] == "axolotl"
    assert verdicts(StoryChecks(min_coverage=1.0, vocabulary=("axolotl",)), text=text)["keep"] is True


def test_without_columns_only_length_and_vocabulary_are_checked():
    frame = StoryChecks().decide(pl.DataFrame({"id": ["a", "b"], "text": [STORY, "Short."]}))
    assert frame["keep"].to_list() == [True, False]
    assert StoryChecks().decide(pl.DataFrame(schema={"id": pl.String, "text": pl.String})).is_empty()


def test_dialogue_in_curly_quotes_counts():
    text = STORY.replace('"Mom, can I try?"', "\u201cMom, can I try?\u201d").replace('"', "")
    assert verdicts(StoryChecks(), text=text)["keep"] is True


def test_the_first_fault_is_reported():
    row = {"text": STORY.replace('"', "") + HARD, "tinystories.words": ["whale"]}
    assert verdicts(StoryChecks(), **row)["reason"] == "a required word is missing"
    assert verdicts(StoryChecks(max_words=20), **row)["reason"] == "too long"
