"""Pages: a page must have code that parses, and is kept as written."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.page import Page

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

GENERATOR = Page(teacher="author", count=1)
DRAW = {"topic": "loops", "audience": "a child", "skill": "tracing", "difficulty": 2, "style": "a story"}
PAGE = "# Loops\n\nA loop repeats.\n\n```python\nfor n in range(2):\n    print(n)\n    # 0\n    # 1\n```\n\nWhy does it stop?\n"


def test_a_page_is_kept_unchanged():
    assert list(GENERATOR.parse(DRAW, Reply(PAGE))) == [
        {"text": PAGE, "textbooks.topic": "loops", "textbooks.audience": "a child", "textbooks.shown": '{"topic": "loops"}'}
    ]


@pytest.mark.parametrize(
    "reply",
    [
        f"```markdown\n{PAGE}```\n",
        f"Sure! Here is a section on loops:\n\n{PAGE}",
        f"**Here's the textbook section:**\n\n---\n\n{PAGE}",
        f"Here is the section:\n\n```markdown\n{PAGE}```",
        PAGE.replace("\n", "\r\n"),
    ],
    ids=["code fence", "announcement", "bold announcement and rule", "announcement and code fence", "windows lines"],
)
def test_pages_are_read_in_the_styles_of_real_models(reply: str):
    (row,) = GENERATOR.parse(DRAW, Reply(reply))
    assert row["text"] == PAGE


def test_a_page_that_begins_and_ends_with_a_snippet_keeps_both():
    page = "```python\nx = 1\n```\n\nThen:\n\n```python\ny = 2\n```\n"
    (row,) = GENERATOR.parse(DRAW, Reply(page))
    assert row["text"] == page
    (row,) = GENERATOR.parse(DRAW, Reply(page.replace("python", "")))
    assert row["text"] == page.replace("python", "")


def test_one_snippet_that_parses_is_enough():
    (row,) = GENERATOR.parse(DRAW, Reply("```python\nfor for\n```\n\n```python\nx = 1\n```\n"))
    assert row["text"].count("```") == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the reply is empty"),
        ("Just prose.", "the page has no code"),
        ("```json\n{}\n```", "the page has no code"),
        ("```python\nfor for\n```", "no snippet of the page parses"),
    ],
)
def test_other_replies_are_rejected_with_a_reason(text: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        list(GENERATOR.parse(DRAW, Reply(text)))
    assert caught.value.problem == reason
