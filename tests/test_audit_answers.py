"""The audit of answers finds planted faults."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_answers")
sys.path.remove(FOLDER)

CODE = "def double_all(xs: list[int]) -> list[int]:\n    return [x * 2 for x in xs]\n"
QUESTION = f"What does `double_all([1, 3])` give?\n\n```python\n{CODE}```"
PROBLEM = "I am a cook. A cup of soup takes 4 spoons of lentils, and 9 people have one each. How many spoons is that?"


def turns(*contents: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": content} for place, content in enumerate(contents)]


def pair(prompt: str, chosen: str, rejected: str, kind: str = "answer") -> dict[str, Any]:
    replies = {"chosen": turns("", chosen)[1:], "rejected": turns("", rejected)[1:]}
    return {"prompt": turns(prompt), **replies, "textbooks.response_type": kind}


@pytest.mark.parametrize(
    ("question", "truth"),
    [
        (QUESTION, [2, 6]),
        (PROBLEM, 36),
        ("12 + 30 = ", 42),
        (QUESTION.replace("`double_all(", "`double_all_again("), None),
        (PROBLEM.replace("4 spoons", "some spoons"), None),
        ("x + 30 = ", None),
        ("Why is the sky blue?", None),
    ],
)
def test_the_truth_is_computed(question: str, truth: object):
    assert AUDIT.true_answer(question) == truth


def test_every_word_problem_of_the_embedded_teacher_has_its_formula():
    word_problems = pytest.importorskip("textbookgen_procedural.word_problems")
    for seed in range(300):
        problem = word_problems.draw_problem(Random(seed))
        assert AUDIT.true_answer(problem.question) == problem.answer


def test_a_value_is_compared_with_its_type():
    assert AUDIT.states("[2, 6]", [2, 6]) and AUDIT.states("'16'", "16")
    assert not AUDIT.states("16", "16") and not AUDIT.states("1", True) and not AUDIT.states("sixteen", 16)


SOLVED = {"textbooks.question": QUESTION, "textbooks.solution": "2 * 3 = 6.\nANSWER: [2, 6]"}
VOTED = {**SOLVED, "textbooks.answer": "[2, 6]", "textbooks.agreement": 0.5}
REVERSED = {
    "messages": turns("Please write `double_all`.", f"```python\n{CODE}```"),
    "textbooks.tests": "assert double_all([1]) == [2]\n",
    "textbooks.regenerated": CODE,
}
#: A sound document of each stage, and the same with one fault.
PLANTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("questions", SOLVED, {**SOLVED, "textbooks.solution": "2 * 3 = 6.\nANSWER: [2, 7]"}),
    ("questions", SOLVED, {**SOLVED, "textbooks.solution": "2 * 3 = 5.\nANSWER: [2, 6]"}),
    ("questions", SOLVED, {**SOLVED, "textbooks.solution": "I think so."}),
    ("voted", VOTED, {**VOTED, "textbooks.answer": "unknown 57"}),
    ("voted", VOTED, {**VOTED, "textbooks.solution": "ANSWER: [2, 7]"}),
    ("honest", {"messages": turns(QUESTION, "[2, 6]"), "textbooks.response_type": "answer"}, {"messages": turns(QUESTION, "[2]")}),
    ("honest", {"messages": turns(QUESTION, "No idea."), "textbooks.response_type": "refusal"}, {"messages": turns(QUESTION, "6")}),
    ("honest", {"messages": turns("x + 1 =", "No idea."), "textbooks.response_type": "bogus-refusal"}, {"messages": turns("2 + 1 =", "No.")}),
    ("honest-pairs", pair(QUESTION, "[2, 6]", "No idea."), pair(QUESTION, "[2, 5]", "No idea.")),
    (
        "honest-pairs",
        pair("2 + 2 =", "No idea.", "The answer is 5.", "refusal"),
        pair("2 + 2 =", "No idea.", "The answer is 4.", "refusal"),
    ),
    ("reversed", REVERSED, {**REVERSED, "textbooks.regenerated": CODE.replace("* 2", "* 3")}),
    ("reversed", REVERSED, {**REVERSED, "textbooks.tests": ""}),
    ("reversed", REVERSED, {**REVERSED, "messages": turns("Please double it.", f"```python\n{CODE}```")}),
    ("best", {"messages": turns(PROBLEM, "So the answer is 36.")}, {"messages": turns(PROBLEM, "So the answer is 35.")}),
    ("best", {"messages": turns(PROBLEM, "4 * 9 = 36. So the answer is 36.")}, {"messages": turns(PROBLEM, "4 * 9 = 3. So the answer is 36.")}),
    ("preferred", pair(PROBLEM, "The answer is 36.", "The answer is 35."), pair(PROBLEM, "The answer is 36.", "The answer is 36.")),
    ("talks", {"messages": turns("Why?", "2 + 2 = 4.")}, {"messages": turns("Why?", "2 + 2 = 5.")}),
    ("talks", {"messages": turns("Why?", "So.", "And?", "Yes.")}, {"messages": turns("Why?", "So.", "Why?", "Yes.")}),
    ("revised", {"text": "2 + 2 = 4.\n```python\nx = 1\n```\n"}, {"text": "2 + 2 = 4.\n```python\nx = = 1\n```\n"}),
]  # fmt: skip


@pytest.mark.parametrize(("label", "sound", "fault"), PLANTED)
def test_planted_faults_are_found(label: str, sound: dict[str, Any], fault: dict[str, Any]):
    good, bad = AUDIT.CHECKS[label](sound), AUDIT.CHECKS[label]({**sound, **fault})
    assert all(good.answers + good.facts) and good.answers + good.facts
    assert not all(bad.answers + bad.facts)


def test_the_shares_are_those_of_the_planted_faults():
    (audit,) = AUDIT.check_output({"voted": [VOTED] * 3 + [{**VOTED, "textbooks.answer": "[0]"}]})
    assert (audit.documents, audit.share("answer"), audit.share("fact")) == (4, 0.75, 7 / 8)
    assert "[0]" in audit.checks["the answer is right"].examples[0]


def test_documents_that_a_filter_dropped_are_left_out(tmp_path: Path):
    folder = tmp_path / "steps" / "reversed-0123456789ab"
    for name in ("data", "verdicts"):
        (folder / name).mkdir(parents=True)
    pl.DataFrame({"id": ["a", "b"], "text": ["A", "B"]}).write_parquet(folder / "data" / "part-00000.parquet")
    assert [row["id"] for row in AUDIT.read_output(tmp_path, "reversed")] == ["a", "b"]
    pl.DataFrame({"id": ["a", "b"], "keep": [False, True]}).write_parquet(folder / "verdicts" / "part-00000.parquet")
    assert [row["id"] for row in AUDIT.read_output(tmp_path, "reversed")] == ["b"]


def test_replies_that_differ_in_form_are_told_apart_and_others_are_not():
    rng = Random(1)
    numbers = [(rng.randrange(10, 99), rng.randrange(10, 99)) for _ in range(200)]
    by_length = [pair("?", f"First this, then that. So the answer is {one}.", f"It is {two}.") for one, two in numbers]
    by_value = [pair("?", f"The answer is {one}.", f"The answer is {two}.") for one, two in numbers]
    assert AUDIT.surface_accuracy(by_length) > 0.95
    assert AUDIT.surface_accuracy(by_value) < 0.6
