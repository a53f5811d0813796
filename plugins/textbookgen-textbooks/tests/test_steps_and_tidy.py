"""Steps fit each other; tidied texts lose their wrapping and nothing else."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.steps import Steps, known_steps
from textbookgen_textbooks.tidy import Tidy

from textbookgen.api.sampler import AcceptedStats
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts
from textbookgen.testing import documents


def test_steps_fit_and_the_name_says_them():
    by_name = {step.name: step for step in known_steps()}
    assert len(by_name) == len(known_steps()) == 60
    names = set()
    for n in range(2_000):
        draw = Steps().draw(n, Random(n), AcceptedStats())
        chain = [by_name[name] for name in draw["function_name"].split("_")]
        assert 4 <= len(chain) <= 6
        assert len(set(chain)) == len(chain)
        assert [step.done for step in chain] == draw["steps"]
        assert all(one.output == other.takes for one, other in pairwise(chain))
        assert draw["arguments"] == [chain[0].takes]
        assert draw["returns"] == chain[-1].output
        names.add(draw["function_name"])
    assert len(names) > 1_950
    with pytest.raises(ValidationError, match="fewest"):
        Steps(fewest=5, most=4)


def test_every_count_can_be_drawn():
    for count in (1, 2, 9, 12):
        assert len(Steps(fewest=count, most=count).draw(0, Random(3), AcceptedStats())["steps"]) == count


def test_the_prompt_tells_every_step():
    draw = Steps().draw(0, Random(0), AcceptedStats())
    text = Prompts(prompt_folders()).render("phi1/unconventional.md.j2", draw)
    assert all(f"{n}. {step}" in text for n, step in enumerate(draw["steps"], 1))
    assert draw["function_name"] in text


def tidy(text: str, **options: object) -> str:
    return Tidy(inputs="pages", **options).transform(documents([text]))["text"][0]


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
def test_wrapping_goes(wrapped: str):
    assert tidy(wrapped) == BODY


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
def test_texts_without_wrapping_and_texts_that_are_nothing_else_stay(text: str):
    assert tidy(text) == text


def test_changed_texts_are_new_documents():
    docs = documents([BODY, f"Sure! Gladly.\n{BODY}"], parents=[["p"], ["q"]])
    rows = Tidy(inputs="pages").transform(docs)
    assert rows["text"].to_list() == [BODY, BODY]
    assert rows["id"][0] == docs["id"][0]
    assert rows["id"][1] != docs["id"][1]
    assert rows["parents"].to_list() == [["p"], [docs["id"][1]]]
    assert rows.schema == docs.schema


def test_own_patterns_count_too():
    assert tidy(f"CHAPTER 1\n{BODY}The end.\n", openings=(r"chapter \d+",), closings=(r"the end\.",)) == BODY
