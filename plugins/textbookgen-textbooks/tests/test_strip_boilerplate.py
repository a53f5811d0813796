"""Boilerplate removal: cleaned texts lose their wrapping and nothing else."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.strip_boilerplate import StripBoilerplate

from textbookgen.testing import documents


def strip(text: str, **options: object) -> str:
    return StripBoilerplate(inputs="pages", **options).transform(documents([text]))["text"][0]


BODY = "# Loops\n\nIn this chapter of his life Tom wrote loops.\n\nHere is one: a loop.\n"


@pytest.mark.parametrize(
    "wrapped",
    [
        f"Sure! Here is the section you wanted.\n\n{BODY}",
        f"Here is the text:\n{BODY}",
        f"Welcome, dear reader!\n\nIn this chapter, we will learn about loops.\n\n{BODY}",
        f"{BODY}\nI hope this helps! Let me know if you want more.\n",
        f"Certainly, gladly.\n{BODY}\nIn the next section we will see more.\nHappy coding!\n\n",
    ],
)
def test_boilerplate_is_removed(wrapped: str):
    assert strip(wrapped) == BODY


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        "Hello!\n",
        "Sure! Gladly.\n",
        "Surely it rains.\nIt does.\n",
        "Welcome is a word. It has seven letters, and this paragraph goes on about it.\nSo!\n",
        "I am the dog of the house.\nI bark.\n",
        "High hills.\nI hoped so.\n",
        "Sure! " + "A whole paragraph that tells how sure one may be. " * 5 + "\nMore.\n",
        "\n\nIndented\n",
    ],
)
def test_texts_without_boilerplate_or_with_nothing_else_are_unchanged(text: str):
    assert strip(text) == text


def test_changed_texts_are_new_documents():
    docs = documents([BODY, f"Sure! Gladly.\n{BODY}"], parents=[["p"], ["q"]])
    rows = StripBoilerplate(inputs="pages").transform(docs)
    assert rows["text"].to_list() == [BODY, BODY]
    assert rows["id"][0] == docs["id"][0]
    assert rows["id"][1] != docs["id"][1]
    assert rows["parents"].to_list() == [["p"], [docs["id"][1]]]
    assert rows.schema == docs.schema


def test_further_patterns_are_used_too():
    assert strip(f"CHAPTER 1\n{BODY}The end.\n", openings=(r"chapter \d+",), closings=(r"the end\.",)) == BODY
