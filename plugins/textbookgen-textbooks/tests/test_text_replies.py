"""Text replies: announcements, labels, quotation marks and code fences are removed, and nothing of the text itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_textbooks.text_replies import heading, read_code, read_message, read_prose

from textbookgen.api.errors import UnusableReply
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
