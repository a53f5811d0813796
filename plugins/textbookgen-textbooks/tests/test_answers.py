"""Answers: equal ones have one canonical form, different ones have different forms."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.answers import canonical, extract_answer, is_unknown


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
        ("B", ["B", "b", "(B)", "b)", "B.", "(b) Paris", "Option B", "B: Paris", "B. Paris", "answer b"]),
        ("red fox", ["the red fox", "A Red Fox.", '"red  fox"', "Red fox!"]),
        ("yes", ["Yes", "yes."]),
        ("3 to 5", ["3 to 5", "3  TO 5"]),
        ("2024-01-05", ["2024-01-05"]),
        ("['Rome', 2]", ['["Rome", 2]', "['Rome',2]", "`[ 'Rome', 2 ]`", "['Rome', 2]."]),
        ("{'a': 1, 'b': 2}", ['{"b": 2, "a": 1}', "{'a': 1, 'b': 2}"]),
    ],
)
def test_ways_to_write_one_answer(form: str, answers: list[str]):
    assert {answer: canonical(answer) for answer in answers} == dict.fromkeys(answers, form)


def test_what_is_different_stays_different():
    answers = ["1000", "10000", "1.000001", "1/3", "0.3333", "5 apples", "5 pears", "A", "B", "a cat", "cat and dog", "-3", "3"]
    answers += ["['Rome']", "['rome']", "('Rome',)", "{'Rome'}", "['Ro', 'me']", "[1, 2]", "[2, 1]", "(3)", "[Rome]"]
    answers.remove("3")  # what `(3)` is
    assert len({canonical(each) for each in answers}) == len(answers)


@pytest.mark.parametrize("answer", ["", "  ", "**", "."])
def test_nothing_is_no_answer(answer: str):
    assert canonical(answer) is None


def test_unusual_numbers_raise_no_error():
    assert canonical("1e999999999") == "1e999999999"
    assert canonical("1/0") == "1/0"
    assert canonical("9" * 5_000) == "9" * 5_000


def test_the_last_labelled_answer_counts():
    assert extract_answer("ANSWER: 3\nno, wait\nAnswer: 4 \n") == "4"
    assert extract_answer("so \\boxed{7} and \\boxed{\\frac{1}{2}}") == "\\frac{1}{2}"
    assert extract_answer("It is four.") is None


def test_the_answer_is_cleaned_and_otherwise_unchanged():
    assert extract_answer("**ANSWER:** 50%.") == "50%"
    assert extract_answer("Answer: $\\frac{1}{2}$") == "\\frac{1}{2}"
    assert extract_answer("ANSWER: **The Seine**.") == "The Seine"
    assert extract_answer("ANSWER: $5 and $6") == "$5 and $6"
    assert extract_answer("ANSWER: **") is None
    assert extract_answer('ANSWER: "16".') == '"16"'
    assert extract_answer('The man said "ANSWER: 16"') == "16"
    assert extract_answer('ANSWER: ""') == '""'


def test_a_number_in_quotes_is_another_value():
    assert canonical('"16"') == canonical("'16'") != canonical("16")
    assert canonical('""') == canonical("''") != canonical('"0"')


@pytest.mark.parametrize("answer", ["E. coli", "c. 1850", "a. m.", "B. subtilis"])
def test_abbreviations_are_not_options(answer: str):
    assert canonical(answer) == answer.lower().rstrip(".")


@pytest.mark.parametrize("answer", ["(e) coli", "E) coli", "E: coli", "E. Coli", "E.", "Answer E", "E. 12"])
def test_options_are_recognized_by_their_markup(answer: str):
    assert canonical(answer) == "E"


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        ("UNKNOWN", True),
        ("unknown 57", True),
        ("None", True),
        ("None of the above", False),
        ("the unknown soldier", False),
        ("N/A", True),
    ],
)
def test_unknown_answers_are_recognized(answer: str, unknown: bool):
    assert is_unknown(answer) is unknown
