"""Text replies: announcements, labels, quotation marks and code fences are removed, and nothing of the text itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textbookgen.api.errors import UnusableReply
from textbookgen.api.reply_code import read_code
from textbookgen.api.reply_text import heading, read_message, read_plain_text, read_prose
from textbookgen.api.teacher import Reply


@pytest.mark.parametrize(
    "text",
    [
        "Here is a list: a, b.\nIt is short.",
        "Sure, it rains.\nTake an umbrella.",
        "Of course the sum is even.\n\nWhy?",
        "Here is the thing about loops. They repeat:\n- once\n- twice",
        "Here is my code:\nx = 1\nWhat is wrong?",
        "Here is the text of the letter I wrote:\nDear Sir\nIs it polite?",
        "Here are the ingredients:\n- rice\n- peas",
        "Sure!",
        "# Here is the title:\n\nText.",
        "---\ntitle: x\n---\nText.",
    ],
)
def test_prose_that_only_resembles_an_announcement_stays(text: str):
    assert read_prose(Reply(text)) == f"{text}\n"


@given(st.text("ab\n `#-:\"'", max_size=60))
def test_prose_ends_in_one_newline_and_is_stable(text: str):
    try:
        prose = read_prose(Reply(text))
    except UnusableReply:
        return
    assert prose == prose.strip() + "\n"
    assert "\n".join(line.strip() for line in prose.splitlines() if line.strip())
    assert set(prose.split()) <= set(text.split())


@pytest.mark.parametrize("text", ["", " \n", "``` \n \n```", '""'])
def test_empty_messages_are_rejected(text: str):
    with pytest.raises(UnusableReply, match="empty"):
        read_message(Reply(text))


def test_only_the_given_labels_are_removed():
    assert read_message(Reply("Tutor: Yes."), "tutor") == "Yes."
    assert read_message(Reply("Note: Yes."), "tutor") == "Note: Yes."
    assert read_message(Reply("Tutors say yes."), "tutor") == "Tutors say yes."


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("SOLUTION: x", "x"),
        ("**Solution:** x", "x"),
        ("**Solution**: x", "x"),
        ("### Solution\nx", "x"),
        ("## **Solution**\nx", "x"),
        ("Solution:\n```python", "```python"),
        ("Solution:\n\\[ x \\]", "\\[ x \\]"),
    ],
)
def test_headings_match_the_label_only(line: str, rest: str):
    match = heading("solution").match(line)
    assert match is not None
    assert line[match.end() :] == rest


@pytest.mark.parametrize("line", ["Solutions: x", "The solution: x", "solution x", "```solution"])
def test_other_lines_are_no_headings(line: str):
    assert heading("solution").search(line) is None


def test_code_is_all_python_snippets_and_the_asserts_below():
    reply = "Intro\n```python\nx = 1\n```\n```bash\nls\n```\n```\ny = 2\n```\nassert x == 1\nDone."
    assert read_code(Reply(reply)) == "x = 1\ny = 2\nassert x == 1\n"


@pytest.mark.parametrize(
    "reply",
    [
        "Sure! Here's a story:\n\n**The Lost Boat**\n\nTom had a **boat**.\nIt sank.\n\nThe End\n\n(7 words)",
        "# The Lost Boat\n\nTom had a boat.  \nIt sank.\n\n---\n\nI hope you like it!",
        "Title: The Lost Boat\nTom had a boat.\nIt sank.\n\n**Word count:** 6",
        "<think>A boat.</think>```\nTom had a boat.\nIt sank.\n```",
        "Tom had a boat.\r\nIt sank.",
    ],
)
def test_plain_text_has_no_title_closing_or_markup(reply: str):
    assert read_plain_text(Reply(reply)) == "Tom had a boat.\nIt sank.\n"


def test_a_title_or_closing_alone_is_a_text():
    assert read_plain_text(Reply("The End")) == "The End\n"
    assert read_plain_text(Reply("# Title")) == "# Title\n"


def test_what_a_document_must_not_be_is_refused_with_a_reason():
    for read in (read_prose, read_plain_text, read_code):
        for reply, problem in (
            (Reply("One day", finish="length"), "the reply was truncated"),
            (Reply("I'm sorry, but I can't help with that."), "the teacher declined"),
            (Reply(" "), "the reply is empty"),
        ):
            with pytest.raises(UnusableReply) as caught:
                read(reply)
            assert caught.value.problem == problem


def test_a_message_may_decline():
    assert read_message(Reply("**Assistant:** I'm sorry, but I cannot help with that."), "assistant").startswith("I'm sorry")


def test_a_reply_that_is_a_program_stays_a_snippet():
    assert read_prose(Reply("```python\nx = 1\n```")) == "```python\nx = 1\n```\n"
    assert read_code(Reply("Here is the code:\n\n  ```python\n  x = 1\n  ```\n")) == "x = 1\n"
    assert read_code(Reply("Here is the code:\n\nx = 1")) == "x = 1\n"
