"""phi-4's seeds: excerpts, deductions, pluralities and missing middles that are kept are exactly those that should be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.excerpts import Excerpts
from textbookgen_textbooks.middle import GAP, Middle
from textbookgen_textbooks.questions import Deductions, Plurality

from textbookgen.api.errors import RequestRefused, UnusableReply
from textbookgen.api.teacher import Reply


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


# -- excerpts


def excerpt(start: int, end: int, complexity: str = "C", reasoning: bool = True) -> dict:
    return {
        "start_line": start,
        "end_line": end,
        "information": "explanation",
        "description": "why",
        "complexity": complexity,
        "obscurity": "low",
        "reasoning": reasoning,
        "steps": [{"assumption": "ice is light", "conclusion": "it floats", "description": "density"}] if reasoning else [],
        "dependencies": ["density"],
    }


LINES = [f"Line {n} has some words in it." for n in range(1, 11)]


def test_excerpts_are_the_lines_named_if_complex_and_reasoned(room):
    tags = [excerpt(1, 2), excerpt(3, 3, "A"), excerpt(4, 4, "B"), excerpt(5, 6, "D", reasoning=False), excerpt(9, 99)]
    stage = Excerpts(teacher="author", inputs="web", fewest_words=3)
    rows = room.write(stage, page("\n".join(LINES)), lambda task, draw: {"educational": True, "excerpts": tags})
    assert [row["text"] for row in rows] == ["\n".join(LINES[:2]) + "\n", LINES[3] + "\n", "\n".join(LINES[8:]) + "\n"]
    assert rows[0]["textbooks.complexity"] == "C"
    assert rows[0]["textbooks.steps"] == ["ice is light => it floats"]
    assert rows[0]["textbooks.dependencies"] == ["density"]
    assert "\n10| Line 10" in room.script.asked[0][1]


def test_options_widen_what_is_kept(room):
    tags = {"educational": True, "excerpts": [excerpt(1, 1, "A"), excerpt(2, 3, reasoning=False), excerpt(7, 5)]}
    stage = Excerpts(teacher="author", inputs="web", least_complexity="A", need_reasoning=False, fewest_words=8)
    rows = room.write(stage, page("\n".join(LINES)), lambda task, draw: tags)
    assert [row["text"] for row in rows] == ["\n".join(LINES[1:3]) + "\n"]


def test_long_pages_come_in_windows_with_lines_of_their_own(room):
    stage = Excerpts(teacher="author", inputs="web", window_lines=4, fewest_words=0)
    rows = room.write(stage, page("\n".join(LINES)), lambda task, draw: {"educational": True, "excerpts": [excerpt(1, 1)]})
    assert [row["text"].strip() for row in rows] == [LINES[0], LINES[4], LINES[8]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"educational": False, "excerpts": [excerpt(1, 9)]}, "no excerpt is worth keeping"),
        ({"educational": True, "excerpts": []}, "no excerpt is worth keeping"),
        ('{"educational": true, "excerpts": [{"start_line": "x"}]}', "the reply's `excerpts.start_line` is not as asked"),
        ("It is a nice page.", "the reply is not JSON"),
        ('{"educational": true, ...}', "the reply is not JSON"),
    ],
)
def test_pages_without_excerpts_are_refused(room, answer: object, reason: str):
    with pytest.raises(UnusableReply) as caught:
        room.write(Excerpts(teacher="author", inputs="web"), page("\n".join(LINES)), lambda task, draw: answer)
    assert caught.value.problem == reason


# -- deductions


@pytest.mark.parametrize(
    "reply",
    [
        "wet -> slippery\n\nQUESTION: Why do shoes slip?\nOn ice?\n\nSOLUTION: Ice melts.\nSo they slip.",
        "**QUESTION:** Why do shoes slip?\nOn ice?\n\n**SOLUTION:** Ice melts.\nSo they slip.",
        "### Question:\nWhy do shoes slip?\nOn ice?\n### Solution:\n\nIce melts.\nSo they slip.\n",
    ],
)
def test_questions_are_read(room, reply: str):
    (row,) = room.write(Deductions(teacher="author", inputs="excerpts"), page("Ice."), lambda task, draw: reply)
    assert row == {
        "text": "Question: Why do shoes slip?\nOn ice?\n\nAnswer: Ice melts.\nSo they slip.\n",
        "textbooks.question": "Why do shoes slip?\nOn ice?",
        "textbooks.solution": "Ice melts.\nSo they slip.",
    }


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("NONE", "there is no chain of deduction"),
        ("Nothing follows here.\n\n**NONE.**", "there is no chain of deduction"),
        ("QUESTION: Why?", "the reply has no question with a solution"),
        ("QUESTION:\nSOLUTION: Because.", "the reply has no question with a solution"),
        ("None of the steps is hard.", "the reply has no question with a solution"),
    ],
)
def test_no_chain_gives_no_question(room, reply: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        room.write(Deductions(teacher="author", inputs="excerpts"), page("Ice."), lambda task, draw: reply)
    assert caught.value.problem == reason


# -- plurality


def votes(*answers: str):
    def answer(task: str, draw: dict, sample: int) -> str | Reply:
        assert task == "plurality-answer"
        if answers[sample] == "REFUSED":
            raise RequestRefused("no")
        return f"Thought {sample}.\nANSWER: {answers[sample]}" if answers[sample] else "I wonder."

    return answer


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        (["4", "4.0", "five", "6", "4", "7", "8", "9"], ("4", 3 / 8)),
        (["4", "4", "4", "4", "4", "4", "4", "4"], "too many answers agree"),
        (["4", "4", "4", "4", "4", "4", "4", "5"], ("4", 7 / 8)),
        (["1", "2", "3", "4", "5", "6", "7", "8"], "no answer has a plurality"),
        (["1", "1", "1", "1", "2", "2", "2", "2"], "no answer has a plurality"),
        (["1", "", "", "", "", "", "", ""], "too few answers agree"),
        (["1", "1", "", "", "", "", "REFUSED", "REFUSED"], ("1", 2 / 8)),
        (["", "", "", "", "", "", "", ""], "no answer has a plurality"),
    ],
)
def test_questions_are_kept_if_answers_agree_but_not_all(room, answers: list[str], kept: object):
    stage = Plurality(teacher="author", inputs="questions", least_agreement=0.25, most_agreement=0.9)
    if isinstance(kept, str):
        with pytest.raises(UnusableReply) as caught:
            room.write(stage, page("What is 2 + 2?"), votes(*answers))
        assert caught.value.problem == kept
        return
    (row,) = room.write(stage, page("What is 2 + 2?"), votes(*answers))
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == kept
    assert row["textbooks.solution"] == f"Thought 0.\nANSWER: {answers[0]}"
    assert len(room.script.asked) == 8
    assert len({prompt for _, prompt, _ in room.script.asked}) == 1


def test_the_question_is_the_column_if_there_is_one(room):
    stage = Plurality(teacher="author", inputs="questions", samples=3)
    (row,) = room.write(stage, page("Question: Q?\n\nAnswer: A.\n", **{"textbooks.question": "Q?"}), votes("1", "2", "1"))
    assert row["textbooks.question"] == "Q?"
    assert "Answer: A." not in room.script.asked[0][1]


def test_shares_must_be_in_order():
    with pytest.raises(ValidationError, match="least_agreement"):
        Plurality(teacher="author", inputs="questions", least_agreement=0.9, most_agreement=0.1)


# -- the middle

PROSE = "Tom had a boat. The wind was strong that day. He let the boat go on the lake. It sank. Everybody was sad for him."
CODE = 'def mean(values: list[float]) -> float:\n    """The mean."""\n    total = sum(values)\n    return total / len(values)\n'


def test_the_same_text_needs_no_grade(room):
    def answer(task: str, draw: dict) -> str:
        assert task == "middle-guess"
        missing = PROSE[len(draw["before"]) : len(PROSE) + 1 - len(draw["after"])]
        assert draw["before"] + missing + draw["after"] == PROSE + "\n"
        return f"The boat is lost.\n\nGUESS:\n{missing}"

    (row,) = room.write(Middle(teacher="author", inputs="pages"), page(PROSE), answer)
    assert row["textbooks.grade"] == 5
    assert row["textbooks.attempts"] == 1
    assert row["textbooks.middle"] in ("The wind was strong that day.", "He let the boat go on the lake.")
    assert row["text"].count(GAP) == 2
    assert row["text"].endswith(f"The missing piece:\n\n{row['textbooks.middle']}\n")


def test_code_loses_a_statement_that_is_not_the_last(room):
    (row,) = room.write(
        Middle(teacher="author", inputs="code"),
        page(CODE),
        lambda task, draw: "Sum first.\nGUESS:\n```python\ntotal = sum(values)\n```",
    )
    assert row["textbooks.middle"] == "total = sum(values)"
    assert row["textbooks.grade"] == 5
    assert f"    {GAP}\n    return total" in row["text"]


def graded(*grades: int):
    left = list(grades)

    def answer(task: str, draw: dict) -> object:
        if task == "middle-grade":
            return {"grade": left.pop(0), "hint": "think of weather"}
        return f"Reason {draw['attempt']}{draw['hint']}.\nGUESS: something else"

    return answer


@pytest.mark.parametrize(
    ("grades", "attempts"),
    [((4,), 1), ((2, 4), 2), ((3, 5), 2), ((3, 3, 4), 3)],
)
def test_good_guesses_are_kept_and_hopeful_ones_tried_again(room, grades: tuple[int, ...], attempts: int):
    (row,) = room.write(Middle(teacher="author", inputs="pages", attempts=3), page(PROSE), graded(*grades))
    assert row["textbooks.attempts"] == attempts
    assert row["textbooks.grade"] == grades[-1]
    assert room.script.tasks() == ["middle-guess", "middle-grade"] * attempts
    assert [("A hint: think of weather" in prompt) for task, prompt, _ in room.script.asked if task == "middle-guess"] == [
        attempt > 0 for attempt in range(attempts)
    ]


@pytest.mark.parametrize(
    ("grades", "reason"),
    [
        ((1,), "the middle was not found"),
        ((3, 1), "the middle was not found"),
        ((3, 3), "the middle was not found in all attempts"),
    ],
)
def test_other_guesses_are_refused(room, grades: tuple[int, ...], reason: str):
    with pytest.raises(UnusableReply) as caught:
        room.write(Middle(teacher="author", inputs="pages"), page(PROSE), graded(*grades))
    assert caught.value.problem == reason


@pytest.mark.parametrize("text", ["One sentence only.", "Two. Short.", "def f():\n    return 1\n", "x = 1\n"])
def test_what_has_no_middle_is_refused(room, text: str):
    with pytest.raises(UnusableReply, match="no middle"):
        room.write(Middle(teacher="author", inputs="pages"), page(text), lambda task, draw: "")


def test_a_reply_without_a_guess_is_refused(room):
    for reply in ("I do not know.", "Reason.\nGUESS:\n"):
        with pytest.raises(UnusableReply, match="no guess"):
            room.write(Middle(teacher="author", inputs="pages"), page(PROSE), lambda task, draw, reply=reply: reply)
