"""Deductions: the question and its solution are read whole, and passages without reasoning are rejected."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.deductions import Deductions

from textbookgen.api.errors import UnusableReply


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


@pytest.mark.parametrize(
    "reply",
    [
        "wet -> slippery\n\nQUESTION: Why do shoes slip?\nOn ice?\n\nSOLUTION: Ice melts.\nSo they slip.",
        "**QUESTION:** Why do shoes slip?\nOn ice?\n\n**SOLUTION:** Ice melts.\nSo they slip.",
        "### Question:\nWhy do shoes slip?\nOn ice?\n### Solution:\n\nIce melts.\nSo they slip.\n",
    ],
)
def test_questions_are_read_in_the_styles_of_real_models(runner, reply: str):
    (row,) = runner.run(Deductions(teacher="author", inputs="excerpts"), page("Ice."), lambda task, draw: reply)
    assert row == {
        "text": "Question: Why do shoes slip?\nOn ice?\n\nAnswer: Ice melts.\nSo they slip.\n",
        "textbooks.question": "Why do shoes slip?\nOn ice?",
        "textbooks.solution": "Ice melts.\nSo they slip.",
    }


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("NONE", "the passage has no chain of deduction"),
        ("Nothing follows here.\n\n**NONE.**", "the passage has no chain of deduction"),
        ("QUESTION: Why?", "the reply has no question with a solution"),
        ("QUESTION:\nSOLUTION: Because.", "the reply has no question with a solution"),
        ("None of the steps is hard.", "the reply has no question with a solution"),
    ],
)
def test_no_chain_gives_no_question(runner, reply: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        runner.run(Deductions(teacher="author", inputs="excerpts"), page("Ice."), lambda task, draw: reply)
    assert caught.value.problem == reason


CODE_QUESTION = "What does `f(2)` return?\n\n```python\ndef f(n):\n    return n + 1\n```"
FORMULA = "What is the value of\n\\[ x^2 \\]\nfor\n$x = 3$"


@pytest.mark.parametrize("question", [CODE_QUESTION, FORMULA, "(a) Why? (b) When?", "$x$ is 3. What is $x^2$?"])
@pytest.mark.parametrize(
    "layout",
    ["QUESTION:\n{}\n\nSOLUTION:\n{}", "### Question\n\n{}\n\n### Solution\n\n{}", "**Question:**\n{}\n**Solution:**\n{}"],
)
def test_code_and_formulas_stay_whole(runner, question: str, layout: str):
    solution = "(1) Insert it.\n```python\nprint(f(2))  # 3\n```"
    reply = "n -> n + 1\n\n" + layout.format(question, solution)
    (row,) = runner.run(Deductions(teacher="author", inputs="excerpts"), page("x"), lambda task, draw: reply)
    assert row["textbooks.question"] == question
    assert row["textbooks.solution"] == solution


def test_the_last_question_with_a_solution_counts(runner):
    reply = "Question: which step is hardest?\n\nQUESTION: Why?\n\nSOLUTION: Because."
    (row,) = runner.run(Deductions(teacher="author", inputs="excerpts"), page("x"), lambda task, draw: reply)
    assert (row["textbooks.question"], row["textbooks.solution"]) == ("Why?", "Because.")
