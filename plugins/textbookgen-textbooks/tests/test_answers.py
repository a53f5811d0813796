"""Answers: equal ones have one form, different ones have not."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.answers import answer_of, canonical
from textbookgen_textbooks.questions import plurality


@pytest.mark.parametrize(
    ("form", "answers"),
    [
        (
            "1000",
            [
                "1000",
                "1,000",
                "1000.0",
                "1e3",
                " 1000. ",
                "**1000**",
                "\\boxed{1000}",
                "$1{,}000$".replace("{,}", ","),
                "+1000",
            ],
        ),
        ("1/2", ["0.5", "1/2", "50%", "50 %", ".5", "\\frac{1}{2}", "\\boxed{\\frac{1}{2}}", "2/4", "$0.50$"]),
        ("-3", ["-3", "\u22123", "-3.00", "-6/2"]),
        ("5 apples", ["5 apples", "5  Apples.", "5.0 apples"]),
        ("12 cm^2", ["12 cm^2", "12.0 CM^2"]),
        ("20 \u20ac", ["\u20ac20", "\u20ac 20.00"]),
        ("B", ["B", "b", "(B)", "b)", "B.", "(b) Paris", "Option B", "B: Paris", "answer b"]),
        ("red fox", ["the red fox", "A Red Fox.", '"red  fox"', "Red fox!"]),
        ("yes", ["Yes", "yes."]),
        ("3 to 5", ["3 to 5", "3  TO 5"]),
        ("2024-01-05", ["2024-01-05"]),
    ],
)
def test_ways_to_write_one_answer(form: str, answers: list[str]):
    assert {answer: canonical(answer) for answer in answers} == dict.fromkeys(answers, form)


def test_what_is_different_stays_different():
    answers = ["1000", "10000", "1.000001", "1/3", "0.3333", "5 apples", "5 pears", "A", "B", "a cat", "cat and dog", "-3", "3"]
    assert len({canonical(each) for each in answers}) == len(answers)


@pytest.mark.parametrize("answer", ["", "  ", "**", "."])
def test_nothing_is_no_answer(answer: str):
    assert canonical(answer) is None


def test_odd_numbers_do_no_harm():
    assert canonical("1e999999999") == "1e999999999"
    assert canonical("1/0") == "1/0"
    assert canonical("9" * 5_000) == "9" * 5_000


def test_the_last_marked_answer_counts():
    assert answer_of("ANSWER: 3\nno, wait\nAnswer: 4 \n") == "4"
    assert answer_of("so \\boxed{7} and \\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"
    assert answer_of("It is four.") is None


def test_plurality_needs_one_winner():
    assert plurality(["a", "b", "a"]) == ("a", 2)
    assert plurality(["a", "b"]) is None
    assert plurality(["a", "a", "b", "b", "c"]) is None
    assert plurality([None, None, "a"]) == ("a", 1)
    assert plurality([None]) is None
    assert plurality([]) is None
