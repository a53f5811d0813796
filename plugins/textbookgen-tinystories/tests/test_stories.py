"""Stories and summaries: what the prompt states, and what is read from replies as real models format them."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from textbookgen_tinystories.story import Story
from textbookgen_tinystories.story_checks import StoryChecks
from textbookgen_tinystories.story_constraints import StoryConstraints
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
DRAW = {"verb": "go", "noun": "slide", "adjective": "high", "features": ["Dialogue"], "paragraphs": 3}
PROMPTS = Prompts(prompt_folders())


def test_a_story_is_kept_with_its_constraints():
    generator = Story(teacher="author", sampler="words", count=1)
    assert list(generator.parse(DRAW, Reply(f"\n{STORY}  \n"))) == [
        {"text": STORY, "tinystories.words": ["go", "slide", "high"], "tinystories.features": ["Dialogue"]}
    ]
    with pytest.raises(UnusableReply, match="empty"):
        list(generator.parse(DRAW, Reply(" \n")))
    with pytest.raises(UnusableReply, match="truncated"):
        list(generator.parse(DRAW, Reply(STORY, finish="length")))


@pytest.mark.parametrize(
    "reply",
    [
        f"Sure! Here is a story about a slide:\n\n{STORY}",
        f"**The High Slide**\n\n{STORY}",
        f"Title: The High Slide\n\n{STORY}",
        f"Here's the story:\n\n# The High Slide\n\n{STORY}",
        f"```\n{STORY}```",
        STORY.replace("\n", "\r\n"),
        f"**The High Slide**\n\n{STORY}\n**The End**",
        f"Sure! Here's a story:\n\n{STORY}\nThe end.\n\nI hope you enjoy it! Let me know if you want another one.",
        f"{STORY}\n---\n\n(82 words)",
        STORY.replace("slide", "**slide**").replace("kind", "**kind**"),
    ],
    ids=[
        "announcement",
        "bold title",
        "labelled title",
        "announcement and heading",
        "code fence",
        "windows lines",
        "title and the end",
        "preamble, the end and an offer",
        "rule and word count",
        "bold words",
    ],
)
def test_stories_are_read_in_the_styles_of_real_models(reply: str):
    (row,) = Story(teacher="author", sampler="words", count=1).parse(DRAW, Reply(reply))
    assert row["text"] == STORY


@pytest.mark.parametrize(
    "text",
    [
        "Here is Tom. He has a boat: a red one.\nIt swims.",
        'Here is what Tom said:\n"Go!"',
        "# Tom",
    ],
)
def test_stories_that_only_resemble_an_announcement_or_a_title_stay(text: str):
    (row,) = Story(teacher="author", sampler="words", count=1).parse(DRAW, Reply(text))
    assert row["text"] == f"{text}\n"


def test_a_last_sentence_that_only_resembles_a_closing_stays():
    text = 'Tom was lost.\nIt was the end of the day.\n"I hope you find it!" said Mom.\n'
    (row,) = Story(teacher="author", sampler="words", count=1).parse(DRAW, Reply(text))
    assert row["text"] == text


def test_curly_quotes_stay_and_count_as_dialogue():
    text = STORY.replace('"Mom, can I try?"', "\u201cMom, can I try?\u201d").replace('"', "")
    (row,) = Story(teacher="author", sampler="words", count=1).parse(DRAW, Reply(f"Title: The Slide\n\n{text}\nThe End"))
    assert row["text"] == text
    frame = pl.DataFrame([{"id": "a", **row}])
    assert StoryChecks().decide(frame)["keep"].to_list() == [True]


def test_the_prompt_states_words_features_and_paragraphs():
    text = PROMPTS.render("tinystories/story.md.j2", {**DRAW, "features": ["Dialogue", "Twist"]})
    assert all(f'"{word}"' in text for word in ("go", "slide", "high"))
    assert "- Dialogue:" in text
    assert "- Twist:" in text
    assert "Bad ending" not in text
    assert "- 3 paragraphs" in text
    assert "Required features" not in PROMPTS.render("tinystories/story.md.j2", {**DRAW, "features": []})
    avoiding = PROMPTS.render("tinystories/story.md.j2", {**DRAW, "avoid_openings": ["Lily went to"]})
    assert "\n- Lily went to\n" in avoiding
    for n in range(200):
        assert PROMPTS.render("tinystories/story.md.j2", StoryConstraints().draw(n, Random(n), AcceptedStats()))


def test_a_summary_is_added_to_its_story():
    generator = Summary(teacher="author", inputs="stories", max_words=8)
    draw = {"document": {"text": STORY, "tinystories.words": ["go"], "tinystories.features": None}}
    (row,) = generator.parse(draw, Reply("Summary: Lily goes\ndown a slide."))
    assert row == {"text": STORY, "tinystories.summary": "Lily goes down a slide.", "tinystories.words": ["go"]}
    with pytest.raises(UnusableReply, match="too long"):
        list(generator.parse(draw, Reply("word " * 9)))
    assert STORY.split("\n")[0] in PROMPTS.render("tinystories/summary.md.j2", draw)


@pytest.mark.parametrize(
    "reply",
    [
        "**Summary:** Lily goes down a slide.",
        "Here is a summary of the story:\n\nLily goes down a slide.",
        "## Summary\n\nLily goes down a slide.",
        "```\nLily goes\ndown a slide.\n```",
    ],
)
def test_summaries_are_read_in_the_styles_of_real_models(reply: str):
    (row,) = Summary(teacher="author", inputs="stories").parse({"document": {"text": STORY}}, Reply(reply))
    assert row["tinystories.summary"] == "Lily goes down a slide."
