"""Majority vote: kept questions are those on which some but not all answers agree."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.majority_vote import MajorityVote, majority

from textbookgen.api.errors import RequestRefused, UnusableReply
from textbookgen.api.teacher import Reply


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def votes(*answers: str):
    def answer(task: str, draw: dict, sample: int) -> str | Reply:
        assert task == "answer"
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
        (["1", "2", "3", "4", "5", "6", "7", "8"], "no answer has a majority"),
        (["1", "1", "1", "1", "2", "2", "2", "2"], "no answer has a majority"),
        (["1", "", "", "", "", "", "", ""], "too few answers agree"),
        (["1", "1", "", "", "", "", "REFUSED", "REFUSED"], ("1", 2 / 8)),
        (["", "", "", "", "", "", "", ""], "no answer has a majority"),
    ],
)
def test_questions_are_kept_if_answers_agree_but_not_all(runner, answers: list[str], kept: object):
    stage = MajorityVote(teacher="author", inputs="questions", min_agreement=0.25, max_agreement=0.9)
    if isinstance(kept, str):
        with pytest.raises(UnusableReply) as caught:
            runner.run(stage, page("What is 2 + 2?"), votes(*answers))
        assert caught.value.problem == kept
        return
    (row,) = runner.run(stage, page("What is 2 + 2?"), votes(*answers))
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == kept
    assert row["textbooks.solution"] == f"Thought 0.\nANSWER: {answers[0]}"
    assert len(runner.teacher.requests) == 8
    assert len({prompt for _, prompt, _ in runner.teacher.requests}) == 1


def test_the_question_is_the_column_if_there_is_one(runner):
    stage = MajorityVote(teacher="author", inputs="questions", samples=3)
    (row,) = runner.run(stage, page("Question: Q?\n\nAnswer: A.\n", **{"textbooks.question": "Q?"}), votes("1", "2", "1"))
    assert row["textbooks.question"] == "Q?"
    assert "Answer: A." not in runner.teacher.requests[0][1]


def test_bounds_must_be_in_order():
    with pytest.raises(ValidationError, match="min_agreement"):
        MajorityVote(teacher="author", inputs="questions", min_agreement=0.9, max_agreement=0.1)


def test_the_answer_is_kept_as_the_teacher_wrote_it(runner):
    stage = MajorityVote(teacher="author", inputs="questions", samples=3)
    (row,) = runner.run(stage, page("Share?"), votes("**50%**.", "0.5", "a third"))
    assert row["textbooks.answer"] == "50%"
    (row,) = runner.run(stage, page("Capital?"), votes("$\\boxed{Paris}$", "paris.", "Lyon"))
    assert row["textbooks.answer"] == "Paris"


def test_the_commonest_wording_is_taught_with_a_solution_that_has_it(runner):
    stage = MajorityVote(teacher="author", inputs="questions", samples=5)
    (row,) = runner.run(stage, page("Capital?"), votes("paris", "Paris", "Lyon", "**Paris**", "paris."))
    assert row["textbooks.answer"] == "paris"  # two each: the first counts
    (row,) = runner.run(stage, page("Capital?"), votes("paris", "Paris", "Lyon", "**Paris**", "Lyon"))
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == ("Paris", 3 / 5)
    assert row["textbooks.solution"] == "Thought 1.\nANSWER: Paris"
    (row,) = runner.run(stage, page("Share?"), votes("0.5", "1/2", "\\frac{1}{2}", "1/2", "0.4"))
    assert row["textbooks.answer"] == "1/2"
    (row,) = runner.run(stage, page("What does `f(1)` give?"), votes('"16"', '"16"', "16", "'16'", "17"))
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == ('"16"', 3 / 5)


SOLVED_CALL = "What does `f(3)` give?\n\n```python\ndef f(x):\n    '''\n    >>> f({})\n    6\n    '''\n    return x * 2\n```"


@pytest.mark.parametrize(
    "question", ["12 + 30 = 42", "1,200 * 2 = 2,400", " 7 - 9 = -2 ", "(2 + 3) / 5 = 1", SOLVED_CALL.format(3)]
)
def test_a_question_that_states_its_answer_is_not_voted_on(runner, question: str):
    with pytest.raises(UnusableReply, match="states its answer"):
        runner.run(MajorityVote(teacher="author", inputs="questions", samples=3), page(question), votes("42", "42", "1"))
    assert runner.teacher.requests == []


@pytest.mark.parametrize("question", ["12 + 30 =", "If x + 2 = 5, what is x?", "12 + x = 42", SOLVED_CALL.format(4)])
def test_other_questions_with_an_equation_are_voted_on(runner, question: str):
    stage = MajorityVote(teacher="author", inputs="questions", samples=3)
    assert len(runner.run(stage, page(question), votes("42", "42", "1"))) == 1


def test_the_first_question_column_with_a_text_counts(runner):
    columns = ("textbooks.question", "reasoning.prompt")
    stage = MajorityVote(teacher="author", inputs="sums", samples=3, question_columns=columns)
    sum_row = page("12 + 30 = 42", **{"textbooks.question": None, "reasoning.prompt": "12 + 30 = "})
    (row,) = runner.run(stage, sum_row, votes("42", "42", "41"))
    assert row["textbooks.question"] == "12 + 30 ="
    assert "12 + 30 = 42" not in runner.teacher.requests[0].prompt


#: How current models end a reply, for an answer.
STYLES = {
    "preamble and bold": "Sure! Let me think.\n\n**Step 1.** Count.\n\n**Answer:** {}",
    "boxed": "We count.\n\n$$\\boxed{{{}}}$$",
    "code fence": "```text\nANSWER: {}\n```",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("right", "kept"),
    [
        (8, "too many answers agree"),
        (7, "42"),
        (5, "42"),
        (2, "42"),
        (1, "no answer has a majority"),
        (0, "no answer has a majority"),
    ],
)
def test_a_teacher_of_known_truth_is_kept_in_the_middle(runner, style: str, right: int, kept: str):
    """The truth is 42; the other replies are off by another number each."""
    answers = [42 if number < right else 43 + number for number in range(8)]
    stage = MajorityVote(teacher="author", inputs="questions")
    reply = lambda task, draw, sample: STYLES[style].format(answers[sample])  # noqa: E731
    if kept != "42":
        with pytest.raises(UnusableReply, match=kept):
            runner.run(stage, page("What is 6 * 7?"), reply)
        return
    (row,) = runner.run(stage, page("What is 6 * 7?"), reply)
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == ("42", right / 8)


def test_an_unknown_answer_is_no_vote(runner):
    stage = MajorityVote(teacher="author", inputs="questions", samples=4)
    with pytest.raises(UnusableReply, match="no answer has a majority"):
        runner.run(stage, page("Why?"), votes("UNKNOWN", "unknown 7", "Unknown.", "unknown 7"))
    (row,) = runner.run(stage, page("Why?"), votes("UNKNOWN", "4", "unknown", "4"))
    assert (row["textbooks.answer"], row["textbooks.agreement"]) == ("4", 0.5)


@pytest.mark.parametrize(
    "reply",
    [
        "So it is 4.\n\n**ANSWER:** 4",
        "**Answer**: $4$.",
        "### Result\nANSWER:\n\n4",
        "Therefore $\\boxed{4}$.",
        "```\nANSWER: 4\n```",
    ],
)
def test_answers_are_read_in_the_styles_of_real_models(runner, reply: str):
    replies = [reply, reply, "ANSWER: 5"]
    stage = MajorityVote(teacher="author", inputs="questions", samples=3)
    (row,) = runner.run(stage, page("2 + 2?"), lambda task, draw, sample: replies[sample])
    assert row["textbooks.answer"] == "4"


def test_a_reply_that_is_cut_off_is_no_vote(runner):
    cut = Reply("ANSWER: 4", finish="length")
    stage = MajorityVote(teacher="author", inputs="questions", samples=2)
    with pytest.raises(UnusableReply, match="no answer has a majority"):
        runner.run(stage, page("2 + 2?"), lambda task, draw, sample: cut)


def test_a_majority_has_one_winner():
    assert majority(["a", "b", "a"]) == ("a", 2)
    assert majority(["a", "b"]) is None
    assert majority(["a", "a", "b", "b", "c"]) is None
    assert majority([None, None, "a"]) == ("a", 1)
    assert majority([None]) is None
    assert majority([]) is None
