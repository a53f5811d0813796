"""Reading replies of language models: announcements, code fences, JSON between words, and sections."""

from __future__ import annotations

from typing import Any

import pytest

from textbookgen.api.errors import UnusableReply
from textbookgen.api.reply_text import complete_text, find_json, read_sections, without_chatter
from textbookgen.api.teacher import Finish, Reply
from textbookgen.llm.json_schema import json_text, validation_error

FABLE = "**The Fox**\n\nA fox ran.\n\nIt slept."


@pytest.mark.parametrize(
    "reply",
    [
        FABLE,
        f"Sure! Here is a short fable about a fox:\n\n{FABLE}",
        f"**Here's your story:**\n\n---\n\n{FABLE}",
        f"Certainly!\n\n```markdown\n{FABLE}\n```",
        f"```\n{FABLE}\n```",
        f"```text\n{FABLE}",
        f"Of course! I'd be happy to write that.\n\n{FABLE}\n\nLet me know if you'd like any changes!",
        f"{FABLE}\n\n---\n\nI hope you like it! Would you like another one?",
        f"<think>\nA fox. Here is a plan: run.\n</think>\n\n{FABLE}",
    ],
)
def test_what_surrounds_a_text_is_removed(reply: str) -> None:
    assert without_chatter(complete_text(Reply(reply))) == FABLE


@pytest.mark.parametrize(
    "text",
    [
        "Sure enough, the cat came back.\n\nIt sat down.",
        "Here is the text of my letter:\n\nDear Tom",
        "Here are the rules of the game:\n\n1. Run.",
        "Of course the sun rose.\n\nIt always did.",
        "Great! said the king.\n\nSo they ate.",
        "The end.\n\nLet me know, said the owl, and flew.",
        "```python\nx = 1\n```\n\nThis sets x.\n\n```python\ny = 2\n```",
        "Sure!",
    ],
)
def test_what_belongs_to_a_text_is_kept(text: str) -> None:
    assert without_chatter(text) == text


@pytest.mark.parametrize(
    ("text", "finish", "problem"),
    [
        ("", "stop", "the reply is empty"),
        ("Once", "length", "the reply was truncated"),
        ("Once", "filter", "the reply was ended by a content filter"),
        ("I'm sorry, but I can't help with that.", "stop", "the teacher declined"),
        ("I cannot assist with this request.", "stop", "the teacher declined"),
        ("As an AI language model, I do not have opinions.", "stop", "the teacher declined"),
    ],
)
def test_a_reply_without_a_text_is_refused(text: str, finish: Finish, problem: str) -> None:
    with pytest.raises(UnusableReply, match=problem):
        complete_text(Reply(text, finish=finish))


@pytest.mark.parametrize(
    "text", ["I'm sorry I missed your party, wrote Mia.", "I can't help but smile when it rains.", "I can swim."]
)
def test_a_text_in_the_first_person_is_no_refusal(text: str) -> None:
    assert complete_text(Reply(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": "x\ny"}\n```', {"a": "x\ny"}),
        ('Sure! Here are [3] stories for {you}:\n\n[{"a": "}"}, {"a": 2}]\n\nEnjoy!', [{"a": "}"}, {"a": 2}]),
        ('I thought about {"b": 0}.\n```\n{"a": {"c": [1, 2]}}\n```', {"a": {"c": [1, 2]}}),
        ('<think>{"a": 0}</think>{"a": 1}', {"a": 1}),
    ],
)
def test_json_is_found_between_words(text: str, value: Any) -> None:
    assert find_json(text) == value
    assert validation_error(json_text(text), {"type": ["object", "array"]}) == ""


@pytest.mark.parametrize("text", ["none", '{"a": {"b": 1},}', '{"stories": [{"text": "a"}, {"te', "[1, 2]", '{"a": {"b": 1}'])
def test_a_part_of_broken_json_is_not_taken_for_the_reply(text: str) -> None:
    if text == "[1, 2]":
        assert find_json(text) == [1, 2]
        return
    with pytest.raises(UnusableReply, match="no JSON object or list"):
        find_json(text)


@pytest.mark.parametrize(
    "reply",
    [
        "Title: The Fox\nStory: A fox ran.\n\nIt slept.",
        "Sure! Here you go.\n\n## Title\nThe Fox\n\n## Story\n\nA fox ran.\n\nIt slept.\n\nLet me know if you would like changes.",
        "**Title:** The Fox\n\n---\n\n**Story**\n\nA fox ran.\n\nIt slept.\n\n---",
        "**Title: The Fox**\n\n1. STORY:\n```text\nA fox ran.\n\nIt slept.\n```",
        "<title>The Fox</title>\n<story>\nA fox ran.\n\nIt slept.\n</story>",
        "[Title]\nThe Fox\n\n[Story]\nA fox ran.\n\nIt slept.",
    ],
)
def test_sections_are_read_however_they_are_marked(reply: str) -> None:
    assert read_sections(reply, ["title", "Story"]) == {"title": "The Fox", "Story": "A fox ran.\n\nIt slept."}


def test_a_section_that_occurs_twice_is_refused_and_a_word_in_a_sentence_is_no_section() -> None:
    with pytest.raises(UnusableReply, match="'Story' occurs twice"):
        read_sections("Story: one\nStory: two", ["Story"])
    assert read_sections("The story was long.\nStory of a fox\nMoral: be kind", ["Story", "Moral"]) == {"Moral": "be kind"}
