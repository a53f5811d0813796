"""Stories: what is taken from a reply, what is asked, and what the checks and the openings let through."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from textbookgen_tinystories.checks import StoryChecks
from textbookgen_tinystories.draws import Words
from textbookgen_tinystories.openings import Openings
from textbookgen_tinystories.story import Story
from textbookgen_tinystories.summary import Summary

from textbookgen.api.errors import UnusableReply
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts

STORY = """Lily went to the park with her mom. She saw a big slide and wanted to go down it. "Mom, can I try?" she asked.
Her mom smiled and said yes. Lily climbed up the ladder, and at the top she felt scared. The slide was higher than she
had thought.

A boy was waiting behind her. He was kind. "Just sit and let go," he said. So Lily let go. They laughed all the way down.
"""
HARD = "Bureaucratic subsidies exacerbate macroeconomic stagnation, notwithstanding fiscal orthodoxy."
DRAW = {"verb": "go", "noun": "slide", "adjective": "high", "features": ["Dialogue"], "paragraphs": 3}


def verdicts(judge: StoryChecks, **row: object) -> dict:
    row = {"id": "a", "text": STORY, "tinystories.words": ["go", "slide", "high"], "tinystories.features": ["Dialogue"], **row}
    return judge.decide(pl.DataFrame([row])).row(0, named=True)


def test_a_story_is_taken_with_what_was_drawn():
    generator = Story(teacher="author", sampler="words", count=1)
    assert list(generator.read(DRAW, Reply(f"\n{STORY}  \n"))) == [
        {"text": STORY, "tinystories.words": ["go", "slide", "high"], "tinystories.features": ["Dialogue"]}
    ]
    with pytest.raises(UnusableReply, match="empty"):
        list(generator.read(DRAW, Reply(" \n")))
    with pytest.raises(UnusableReply, match="cut off"):
        list(generator.read(DRAW, Reply(STORY, finish="length")))


def test_the_prompt_says_words_features_and_paragraphs():
    prompts = Prompts(prompt_folders())
    text = prompts.render("tinystories/story.md.j2", {**DRAW, "features": ["Dialogue", "Twist"]})
    assert all(f'"{word}"' in text for word in ("go", "slide", "high"))
    assert "quotation marks" in text
    assert "nobody in the story expected" in text
    assert "ends badly" not in text
    for n in range(200):
        assert prompts.render("tinystories/story.md.j2", Words().draw(n, Random(n), AcceptedStats()))


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
        ({"tinystories.words": ["go", "whale", "tasty"]}, "a word is missing", "whale, tasty"),
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
    verdict = verdicts(StoryChecks(coverage=0.95), **row)
    assert verdict["keep"] is False
    assert verdict["reason"] == reason
    assert detail in verdict["detail"]


def test_limits_and_vocabulary_are_options():
    assert verdicts(StoryChecks(max_words=20))["reason"] == "too long"
    text = STORY + "The axolotl had an axolotl."
    assert verdicts(StoryChecks(coverage=1.0), text=text)["detail"] == "axolotl"
    assert verdicts(StoryChecks(coverage=1.0, vocabulary=("axolotl",)), text=text)["keep"] is True


def test_without_columns_only_length_and_words_are_looked_at():
    frame = StoryChecks().decide(pl.DataFrame({"id": ["a", "b"], "text": [STORY, "Short."]}))
    assert frame["keep"].to_list() == [True, False]
    assert StoryChecks().decide(pl.DataFrame(schema={"id": pl.String, "text": pl.String})).is_empty()


def test_dialogue_in_curly_quotes_counts():
    text = STORY.replace('"Mom, can I try?"', "\u201cMom, can I try?\u201d").replace('"', "")
    assert verdicts(StoryChecks(), text=text)["keep"] is True


def test_openings_keep_a_share_and_the_first():
    texts = [f"Once upon a time there was cat {n}." for n in range(60)] + [f"Cat number {n} was happy." for n in range(40)]
    docs = pl.DataFrame({"id": [str(n) for n in range(100)], "text": texts})
    judge = Openings(inputs="stories", max_share=0.07)
    found = judge.decide(judge.sketch(docs).lazy(), docs.lazy())
    assert found.height == 100
    assert found.filter("keep")["id"].to_list() == [str(n) for n in (*range(7), *range(60, 100))]
    assert set(found.filter(~pl.col("keep"))["reason"]) == {"begins like many others"}
    assert "once upon a time" in found.filter(~pl.col("keep"))["detail"][0]
    assert judge.model_copy(update={"max_share": 0.001}).decide(judge.sketch(docs).lazy(), docs.lazy())["keep"].sum() == 41


def test_summaries_stand_beside_the_story():
    generator = Summary(teacher="author", inputs="stories", most_words=8)
    draw = {"document": {"text": STORY, "tinystories.words": ["go"], "tinystories.features": None}}
    (row,) = generator.read(draw, Reply("Summary: Lily goes\ndown a slide."))
    assert row == {"text": STORY, "tinystories.summary": "Lily goes down a slide.", "tinystories.words": ["go"]}
    with pytest.raises(UnusableReply, match="too long"):
        list(generator.read(draw, Reply("word " * 9)))
    assert STORY.split("\n")[0] in Prompts(prompt_folders()).render("tinystories/summary.md.j2", draw)
