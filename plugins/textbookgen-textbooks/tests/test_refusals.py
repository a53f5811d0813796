"""Refusals: models are taught to answer what they usually know, and to refuse what they do not."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_textbooks.attempts import Attempts
from textbookgen_textbooks.refusals import RefusalChats, RefusalPairs

from textbookgen.api.artifacts import Chats, Pairs
from textbookgen.api.errors import UnusableReply


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


def test_attempts_are_added_to_the_question(runner):
    stage = Attempts(teacher="small", inputs="questions", samples=3)
    draw = page("Q: x", **{"textbooks.question": "Who?", "textbooks.answer": "Ann", "textbooks.gone": None})
    (row,) = runner.run(stage, draw, lambda task, draw, sample: ["Ann", " ", "Bob"][sample])
    assert row == {
        "text": "Q: x",
        "textbooks.question": "Who?",
        "textbooks.answer": "Ann",
        "textbooks.attempts": ["Ann", "Bob"],
    }
    with pytest.raises(UnusableReply, match="no attempts"):
        runner.run(stage, draw, lambda task, draw, sample: "")


def checker(plausibility: int = 4):
    def answer(task: str, draw: dict) -> object:
        if task == "check-answer":
            return {
                "verdict": "uncertain"
                if draw["attempt"] == "Hm"
                else "correct"
                if draw["attempt"] == draw["reference_answer"]
                else "incorrect"
            }
        if task == "bogus-question":
            return {"question": f"Bogus {draw['question']}", "plausibility": plausibility}
        assert task == "refusal"
        return f"I do not know{' of it' if draw['is_bogus'] else ''}: {draw['question']}"

    return answer


def attempted(*attempts: str) -> dict:
    return page("Who?", **{"textbooks.answer": "Ann", "textbooks.attempts": list(attempts)})


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        (("Ann", "Ann", "Ann", "Bob"), ("answer", "Ann")),
        (("Ann", "Hm", "Hm"), ("answer", "Ann")),
        (("Bob", "Cid", "Dan", "Ann"), ("refusal", "I do not know: Who?")),
        (("Ann", "Bob"), None),
    ],
)
def test_answers_are_taught_if_usually_right_refusals_if_usually_wrong(
    runner, attempts: tuple[str, ...], expected: tuple | None
):
    rows = runner.run(RefusalChats(teacher="strong", inputs="attempts"), attempted(*attempts), checker())
    taught = [(row["textbooks.response_type"], row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]
    bogus = ("bogus-refusal", "Bogus Who?", "I do not know of it: Bogus Who?")
    assert taught == ([(expected[0], "Who?", expected[1]), bogus] if expected else [bogus])
    assert fits(rows, Chats).height == len(rows)


def test_implausible_bogus_questions_are_left_out(runner):
    (row,) = runner.run(RefusalChats(teacher="strong", inputs="attempts"), attempted("Ann"), checker(plausibility=2))
    assert row["textbooks.response_type"] == "answer"
    with pytest.raises(UnusableReply, match="neither usually right nor usually wrong"):
        runner.run(RefusalChats(teacher="strong", inputs="attempts", bogus_share=0.0), attempted("Ann", "Bob"), checker())


@pytest.mark.parametrize(
    ("attempts", "pairs"),
    [
        (("Ann", "Bob"), [("Ann", "I do not know: Who?"), ("I do not know: Who?", "Bob")]),
        (("Ann", "Ann"), [("Ann", "I do not know: Who?")]),
        (("Cid", "Bob", "Hm"), [("I do not know: Who?", "Cid")]),
    ],
)
def test_pairs_prefer_correct_answers_and_refusals_of_incorrect_ones(runner, attempts: tuple[str, ...], pairs: list):
    rows = runner.run(RefusalPairs(teacher="strong", inputs="attempts"), attempted(*attempts), checker())
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == pairs
    assert fits(rows, Pairs).height == len(rows)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (attempted("Hm", "Hm"), "no attempt could be checked"),
        (page("Who?", **{"textbooks.answer": "Ann"}), "the question has no answer or no attempts"),
        (page("Who?", **{"textbooks.attempts": ["Ann"]}), "the question has no answer or no attempts"),
    ],
)
def test_questions_that_cannot_be_checked_are_rejected(runner, draw: dict, reason: str):
    for stage in (RefusalChats(teacher="strong", inputs="attempts"), RefusalPairs(teacher="strong", inputs="attempts")):
        with pytest.raises(UnusableReply) as caught:
            runner.run(stage, draw, checker())
        assert caught.value.problem == reason


@pytest.mark.parametrize(
    "verdict",
    [
        '```json\n{"verdict": "correct"}\n```',
        'The format is {"verdict": "<correct, incorrect or uncertain>"}.\n\n{"verdict": "Correct"}',
        'Both name Ann.\n\n**Verdict:** {"verdict": "correct", "reason": "same name"}',
    ],
    ids=["code fence", "format repeated", "preamble and extra field"],
)
@pytest.mark.parametrize(
    "refusal", ["I do not know.", "**Assistant:** I do not know.", '"I do not know."', "Here is a reply:\n\nI do not know."]
)
def test_replies_are_read_in_the_styles_of_real_models(runner, verdict: str, refusal: str):
    stage = RefusalPairs(teacher="strong", inputs="attempts")
    (row,) = runner.run(stage, attempted("Ann"), lambda task, draw: verdict if task == "check-answer" else refusal)
    assert row["chosen"][0]["content"] == "Ann"
    assert row["rejected"][0]["content"] == "I do not know."


def test_bounds_must_be_in_order():
    with pytest.raises(ValueError, match="below"):
        RefusalChats(teacher="strong", inputs="attempts", min_accuracy_to_answer=0.2, max_accuracy_to_refuse=0.2)


#: How a student's wrong and right replies read; the reference answer is 42.
STUDENT_STYLES = ["The answer is {}.", "Sure! **Answer:** {}", "So we get $\\boxed{{{}}}$."]


@pytest.mark.parametrize("style", STUDENT_STYLES)
def test_a_scripted_student_is_answered_for_where_it_is_right_and_declined_for_where_it_is_wrong(runner, style: str):
    """Twenty questions, of which the student gets all attempts at the even ones right and is off by one at the odd ones."""

    def answer(task: str, draw: dict) -> object:
        if task == "check-answer":
            assert draw["attempt"] in runner.attempts
            return {"verdict": "correct" if "42" in draw["attempt"] else "incorrect"}
        return "I do not know."

    taught, preferred = [], []
    for number in range(20):
        runner.attempts = [style.format(42 + number % 2)] * 5
        draw = page(f"Question {number}?", **{"textbooks.answer": "42", "textbooks.attempts": runner.attempts})
        (chat,) = runner.run(RefusalChats(teacher="strong", inputs="attempts", bogus_share=0.0), draw, answer)
        taught.append((chat["textbooks.response_type"], chat["messages"][-1]["content"]))
        (pair,) = runner.run(RefusalPairs(teacher="strong", inputs="attempts"), draw, answer)
        preferred.append((pair["chosen"][0]["content"], pair["rejected"][0]["content"]))
    assert taught == [("answer", "42"), ("refusal", "I do not know.")] * 10
    assert preferred == [("42", "I do not know."), ("I do not know.", style.format(43))] * 10
    assert runner.teacher.temperatures["check-answer"] == {0.0}


def test_a_share_of_the_questions_gets_a_bogus_variant(runner):
    stage = RefusalChats(teacher="strong", inputs="attempts", bogus_share=0.3)
    kinds = []
    for number in range(100):
        draw = {"document": {**attempted("Ann")["document"], "id": f"d{number}"}}
        kinds += [row["textbooks.response_type"] for row in runner.run(stage, draw, checker())]
    assert kinds.count("answer") == 100
    assert 15 < kinds.count("bogus-refusal") < 45
