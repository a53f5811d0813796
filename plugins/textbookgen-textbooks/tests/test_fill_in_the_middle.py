"""Fill in the middle: kept reasoning led to the missing text, and grades decide about further attempts."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.fill_in_the_middle import GAP, FillInTheMiddle, read_guess

from textbookgen.api.errors import UnusableReply


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


PROSE = "Tom had a boat. The wind was strong that day. He let the boat go on the lake. It sank. Everybody was sad for him."
CODE = 'def mean(values: list[float]) -> float:\n    """The mean."""\n    total = sum(values)\n    return total / len(values)\n'


def test_the_original_text_needs_no_grade(runner):
    def answer(task: str, draw: dict) -> str:
        assert task == "fill-in-the-middle"
        missing = PROSE[len(draw["prefix"]) : len(PROSE) + 1 - len(draw["suffix"])]
        assert draw["prefix"] + missing + draw["suffix"] == PROSE + "\n"
        return f"The boat is lost.\n\nGUESS:\n{missing}"

    (row,) = runner.run(FillInTheMiddle(teacher="author", inputs="pages"), page(PROSE), answer)
    assert row["textbooks.grade"] == 5
    assert row["textbooks.attempt_count"] == 1
    assert row["textbooks.middle"] in ("The wind was strong that day.", "He let the boat go on the lake.")
    assert row["text"].count(GAP) == 2
    assert row["text"].endswith(f"The missing text:\n\n{row['textbooks.middle']}\n")


def test_code_loses_a_statement_that_is_not_the_last(runner):
    (row,) = runner.run(
        FillInTheMiddle(teacher="author", inputs="code"),
        page(CODE),
        lambda task, draw: "Sum first.\nGUESS:\n```python\ntotal = sum(values)\n```",
    )
    assert row["textbooks.middle"] == "total = sum(values)"
    assert row["textbooks.grade"] == 5
    assert f"    {GAP}\n    return total" in row["text"]


def graded(*grades: int):
    left = list(grades)

    def answer(task: str, draw: dict) -> object:
        if task == "grade-guess":
            return {"grade": left.pop(0), "hint": "think of weather"}
        return f"Reason {draw['attempt']}{draw['hint']}.\nGUESS: something else"

    return answer


@pytest.mark.parametrize(
    ("grades", "attempts"),
    [((4,), 1), ((2, 4), 2), ((3, 5), 2), ((3, 3, 4), 3)],
)
def test_good_guesses_are_kept_and_promising_ones_get_another_attempt(runner, grades: tuple[int, ...], attempts: int):
    (row,) = runner.run(FillInTheMiddle(teacher="author", inputs="pages", max_attempts=3), page(PROSE), graded(*grades))
    assert row["textbooks.attempt_count"] == attempts
    assert row["textbooks.grade"] == grades[-1]
    assert runner.teacher.tasks() == ["fill-in-the-middle", "grade-guess"] * attempts
    assert [
        ("Hint: think of weather" in prompt) for task, prompt, _ in runner.teacher.requests if task == "fill-in-the-middle"
    ] == [attempt > 0 for attempt in range(attempts)]


@pytest.mark.parametrize(
    ("grades", "reason"),
    [
        ((1,), "the guess is wrong"),
        ((3, 1), "the guess is wrong"),
        ((3, 3), "no attempt was good enough"),
    ],
)
def test_other_guesses_are_rejected(runner, grades: tuple[int, ...], reason: str):
    with pytest.raises(UnusableReply) as caught:
        runner.run(FillInTheMiddle(teacher="author", inputs="pages"), page(PROSE), graded(*grades))
    assert caught.value.problem == reason


@pytest.mark.parametrize("text", ["One sentence only.", "Two. Short.", "def f():\n    return 1\n", "x = 1\n"])
def test_a_document_too_short_for_a_gap_is_rejected(runner, text: str):
    with pytest.raises(UnusableReply, match="nothing to remove"):
        runner.run(FillInTheMiddle(teacher="author", inputs="pages"), page(text), lambda task, draw: "")


def test_a_reply_without_a_guess_is_rejected(runner):
    for reply in ("I do not know.", "Reason.\nGUESS:\n"):
        with pytest.raises(UnusableReply, match="no guess"):
            runner.run(FillInTheMiddle(teacher="author", inputs="pages"), page(PROSE), lambda task, draw, reply=reply: reply)


@pytest.mark.parametrize(
    ("reply", "guess"),
    [
        ("It adds.\n\nGUESS:\ntotal = sum(values)", "total = sum(values)"),
        ("It adds.\n\n**GUESS:**\n```python\ntotal = sum(values)\n```", "total = sum(values)"),
        ("It adds.\n\n### Guess\n\n```\ntotal = sum(values)\n```\nThis is the sum.", "total = sum(values)"),
        ("It adds.\n\nGUESS: ```total```", "```total```"),
        ("It adds.\nGuess: nothing? No.\n\nGUESS:\n    if values:\n        return 1", "    if values:\n        return 1"),
    ],
)
def test_guesses_are_read_in_the_styles_of_real_models(reply: str, guess: str):
    reasoning, text = read_guess(reply)
    assert text == guess
    assert reasoning.startswith("It adds.")
