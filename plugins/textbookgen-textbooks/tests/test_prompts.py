"""Prompts: each template renders with what its sampler draws, and says it."""

from __future__ import annotations

from random import Random

import pytest
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.lessons import Lessons

from textbookgen.api.sampler import AcceptedStats
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import PromptError, Prompts

PROMPTS = Prompts(prompt_folders())


def test_pages():
    draw = Lessons(must_use=("zip", "sum")).draw(0, Random(0), AcceptedStats())
    text = PROMPTS.render("phi1/textbook.md.j2", draw)
    assert draw["topic"] in text
    assert draw["audience"] in text
    assert draw["skill"] in text
    assert "zip" in text
    del draw["must_use"]
    assert "Words that must" not in PROMPTS.render("phi1/textbook.md.j2", draw)
    del draw["topic"]
    with pytest.raises(PromptError, match="topic"):
        PROMPTS.render("phi1/textbook.md.j2", draw)


def test_exercises():
    draw = {"function_name": "count_cats", "concept": "loops", "difficulty": 3, "arguments": ["list[int]", "str"]}
    text = PROMPTS.render("phi1/exercise.md.j2", draw)
    assert "`count_cats`" in text
    assert "2 arguments, of type list[int], then str" in text
    assert "argument" not in PROMPTS.render("phi1/exercise.md.j2", {**draw, "arguments": []}).split("Decide")[0]
    assert PROMPTS.render("phi1/exercise.md.j2", FunctionNames().draw(0, Random(0), AcceptedStats()))


def test_educational_value_sees_2000_characters():
    text = PROMPTS.render("phi1/educational-value.md.j2", {"document": {"text": "é" * 3_000}})
    assert text.count("é") == 2_000
    assert text.rstrip().endswith("score: N")
