"""Answers of teachers: calls are found in replies as language models write them."""

from __future__ import annotations

import pytest
from textbookgen_api.answers import read_calls

from textbookgen.api.teacher import Reply

PLAN = "a = find(dish='soup'); add(item=a)"


@pytest.mark.parametrize(
    "reply",
    [
        PLAN,
        f"```python\n{PLAN}\n```",
        f"Sure! Here is the line of calls:\n\n```\n{PLAN}\n```\n\nLet me know if you need anything else.",
        f"**Call:** `{PLAN}`",
        f"Call: {PLAN}",
        "a = find(dish='soup')\nadd(item=a)",
        'The user wants soup.\n\nresult = find(dish="soup")\nadd(item=result)\n\nThis adds the ingredients.',
    ],
    ids=["bare", "code fence", "preamble", "label", "plain label", "two lines", "comments"],
)
def test_calls_are_read_in_the_styles_of_real_models(reply: str):
    assert read_calls(Reply(reply)) == PLAN


@pytest.mark.parametrize("reply", ["I would add it to the list.", "find(soup)", "", "add(item=undefined)"])
def test_other_replies_are_kept_as_they_are(reply: str):
    assert read_calls(Reply(reply)) == reply


def test_a_reply_that_was_cut_off_is_not_completed():
    assert read_calls(Reply("add(item='milk'); add(", finish="length")) == "add(item='milk'); add("
