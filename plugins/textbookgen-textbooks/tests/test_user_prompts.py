"""User prompts: one message per draw, without what models put around it."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.user_prompts import UserPrompts

from textbookgen.api.errors import UnusableReply


def test_the_prompt_has_persona_and_topic(runner):
    draw = {"topic": "tides", "persona": "a harbour pilot"}
    (row,) = runner.run(
        UserPrompts(teacher="author", sampler="topics", count=1, max_words=5), draw, lambda task, draw: '"When is high tide?"\n'
    )
    assert row == {"text": "When is high tide?", "textbooks.topic": "tides", "textbooks.persona": "a harbour pilot"}
    assert "a harbour pilot" in runner.teacher.requests[0][1]
    for reply, reason in (('""', "empty"), ("Please tell me when it is.", "too long")):
        with pytest.raises(UnusableReply, match=reason):
            runner.run(
                UserPrompts(teacher="author", sampler="topics", count=1, max_words=5),
                {**draw, "persona": None},
                lambda task, draw, reply=reply: reply,
            )
    assert "a user's life" in runner.teacher.requests[0][1]


@pytest.mark.parametrize(
    "reply",
    [
        "Hi! I need help with tides.",
        "Here is a realistic message:\n\n\u201cHi! I need help with tides.\u201d",
        "**Message:**\n\nHi! I need help with tides.",
        "```text\nHi! I need help with tides.\n```",
    ],
    ids=["bare", "announcement and quotes", "label", "code fence"],
)
def test_messages_are_read_in_the_styles_of_real_models(runner, reply: str):
    stage = UserPrompts(teacher="author", sampler="topics", count=1)
    (row,) = runner.run(stage, {"topic": "tides", "persona": None}, lambda task, draw: reply)
    assert row["text"] == "Hi! I need help with tides."


def test_quotations_inside_a_message_stay(runner):
    stage = UserPrompts(teacher="author", sampler="topics", count=1)
    message = '"Ebb" and "flood"'
    (row,) = runner.run(stage, {"topic": "tides", "persona": None}, lambda task, draw: message)
    assert row["text"] == message
