"""JSON replies: the last object that matches the schema counts, whatever surrounds it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from textbookgen_textbooks.json_replies import ReplySchema, read_json

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply


class Grade(ReplySchema):
    grade: int = Field(ge=1, le=5)
    hint: str


def read(text: str) -> tuple[int, str]:
    grade = read_json(Grade, Reply(text))
    return grade.grade, grade.hint


@pytest.mark.parametrize(
    "text",
    [
        '{"grade": 3, "hint": "a } b"}',
        '```json\n{"grade": 3, "hint": "a } b"}\n```',
        'I compare {both}. Result: {"hint": "a } b", "grade": 3, "why": {"x": 1}} Done {ok}.',
        '{"grade": 1, "hint": "<hint>"}\n{"grade": 3, "hint": "a } b"}',
        '{"grade": 3, "hint": "a } b"}\n\nFormat: {"grade": "<integer>", "hint": "<hint>"}',
    ],
    ids=["bare", "code fence", "text with braces", "format first", "format last"],
)
def test_replies_are_read_in_the_styles_of_real_models(text: str):
    assert read(text) == (3, "a } b")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the reply is not JSON"),
        ("Fine.", "the reply is not JSON"),
        ('{"grade": 3, "hint": "cut', "the reply is not JSON"),
        ('{"grade": 3}', "the reply's `hint` does not match the schema"),
        ('{"grade": 6, "hint": ""}', "the reply's `grade` does not match the schema"),
    ],
)
def test_other_replies_are_rejected_with_a_reason(text: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        read(text)
    assert caught.value.problem == reason


@given(st.text(), st.integers(1, 5), st.text(max_size=20), st.text("abc .\n"))
def test_an_object_is_found_after_any_text_without_json(before: str, grade: int, hint: str, after: str):
    prefix = before.replace("{", "(")
    assert read(prefix + json.dumps({"grade": grade, "hint": hint}) + after) == (grade, hint)
