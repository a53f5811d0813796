"""Pages: a page must have code that parses."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.page import Page

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

GENERATOR = Page(teacher="author", count=1)
DRAW = {"topic": "loops", "audience": "a child", "skill": "tracing", "difficulty": 2, "style": "a story"}
PAGE = "# Loops\n\nA loop repeats.\n\n```python\nfor n in range(2):\n    print(n)\n    # 0\n    # 1\n```\n\nWhy does it stop?\n"


def test_a_page_is_taken_as_it_is():
    assert list(GENERATOR.parse(DRAW, Reply(PAGE))) == [
        {"text": PAGE, "textbooks.topic": "loops", "textbooks.audience": "a child"}
    ]


def test_a_fence_around_all_of_it_goes():
    (row,) = GENERATOR.parse(DRAW, Reply(f"```markdown\n{PAGE}```\n"))
    assert row["text"] == PAGE


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
def test_what_is_no_page_is_refused_with_a_reason(text: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        list(GENERATOR.parse(DRAW, Reply(text)))
    assert caught.value.problem == reason
