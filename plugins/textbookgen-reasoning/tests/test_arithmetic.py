"""Arithmetic: formats can be parsed back, results are correct, and distributions follow the options."""

from __future__ import annotations

from collections import Counter
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_reasoning.arithmetic import Arithmetic
from textbookgen_reasoning.arithmetic_format import Format, Problem, digit_accuracy


def table(source: Arithmetic) -> pl.DataFrame:
    assert list(source.check()) == []
    return pl.concat(source.read())


def write(problem: Problem, **options: object) -> str:
    return "".join(Format(operation=problem.operation, **options).write(problem, Random(0)))


def test_examples_of_each_format():
    plus, times = Problem("add", 239, 821), Problem("mul", 12, 34)
    assert write(plus) == "2 3 9 + 8 2 1 = 1 0 6 0\n"
    assert write(plus, spaced=False) == "239 + 821 = 1060\n"
    assert write(plus, reverse="output", spaced=False) == "239 + 821 = 0601\n"
    assert write(plus, reverse="both", spaced=False) == "932 + 128 = 0601\n"
    assert write(plus, pad_to=5, spaced=False) == "00239 + 00821 = 001060\n"
    assert write(times, pad_to=3, reverse="output", spaced=False) == "012 * 034 = 804000\n"
    assert write(plus, scratchpad=True, spaced=False) == (
        "239 + 821 = 932 + 128 : 0 carry 1 ; 32 + 28 : 6 carry 0 ; 2 + 8 : 0 carry 1 = 1060\n"
    )


@given(
    st.sampled_from(["add", "mul"]),
    st.integers(0, 10**15 - 1),
    st.integers(0, 10**15 - 1),
    st.sampled_from([None, 15, 20]),
    st.sampled_from(["none", "output", "both"]),
    st.booleans(),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
    st.booleans(),
    st.integers(),
)
def test_parsing_inverts_writing(operation, a, b, pad_to, reverse, spaced, space_share, scratchpad, dialogue, seed):
    form = Format(
        operation, pad_to, reverse, spaced, space_share, 3, scratchpad and operation == "add" and not dialogue, dialogue
    )
    problem = Problem(operation, a, b)
    prompt, answer = form.write(problem, Random(seed))
    assert form.parse(prompt + answer) == (problem, a + b if operation == "add" else a * b)
    assert form.parse_answer(answer) == problem.result


def test_wrong_results_are_parsed_as_written():
    assert Format().parse("2 + 2 = 5") == (Problem("add", 2, 2), 5)
    assert Format(reverse="output").parse_answer("5 1") == 15
    assert Format(scratchpad=True).parse_answer("2 + 2 : 4 carry 0 = 4\nrest") == 4


@pytest.mark.parametrize("text", ["", "hello", "2 + 2", "2 - 2 = 0", "2 + x = 3"])
def test_other_texts_are_rejected(text: str):
    with pytest.raises(ValueError, match="not a"):
        Format().parse(text)
    with pytest.raises(ValueError, match="not a problem"):
        Format(dialogue=True).parse(text)


@pytest.mark.parametrize("text", ["", "not a number", "1 or 2?", "\n5"])
def test_answers_without_exactly_one_number(text: str):
    assert Format().parse_answer(text) is None


def test_scratchpad_steps_are_correct():
    for row in table(Arithmetic(count=200, max_digits=6, scratchpad="recursive")).iter_rows(named=True):
        steps = row["reasoning.answer"].rpartition(" = ")[0].split(" ; ")
        a, b, carry, digits = int(row["reasoning.a"]), int(row["reasoning.b"]), 0, ""
        for step in steps:
            remaining, _, outcome = step.partition(" : ")
            left, right = (each.replace(" ", "") for each in remaining.split(" + "))
            assert int(left[::-1]) == a
            assert int(right[::-1]) == b
            total = a % 10 + b % 10 + carry
            carry, a, b = total // 10, a // 10, b // 10
            assert outcome == f"{total % 10} carry {carry}"
            digits = str(total % 10) + digits
        assert int(str(carry) + digits) == int(row["reasoning.result"])


def test_lengths_are_uniform_and_results_correct():
    rows = table(Arithmetic(count=4_000, min_digits=1, max_digits=4))
    assert (
        rows["reasoning.a"].cast(pl.Int64) + rows["reasoning.b"].cast(pl.Int64) == rows["reasoning.result"].cast(pl.Int64)
    ).all()
    cells = Counter(rows["reasoning.cell"])
    assert set(cells) == {f"{k}x{m}" for k in range(1, 5) for m in range(1, 5)}
    assert all(190 < count < 310 for count in cells.values())
    assert (rows["text"] == rows["reasoning.prompt"] + rows["reasoning.answer"]).all()
    assert rows["id"].n_unique() == 4_000
    assert rows[:50].equals(table(Arithmetic(count=50, min_digits=1, max_digits=4)))
    products = table(Arithmetic(count=200, operation="mul", max_digits=15))
    assert all(
        int(row["reasoning.a"]) * int(row["reasoning.b"]) == int(row["reasoning.result"])
        for row in products.iter_rows(named=True)
    )


def test_uniform_values_are_mostly_long():
    rows = table(Arithmetic(count=1_000, max_digits=3, balance="values"))
    assert 0.85 < (rows["reasoning.a"].str.len_chars() == 3).mean() < 0.95


def test_carry_share_controls_the_carries():
    def carrying(share: float) -> float:
        rows = table(Arithmetic(count=500, min_digits=6, max_digits=6, carry_share=share))
        pairs = [
            int(x) + int(y) >= 9
            for row in rows.iter_rows(named=True)
            for x, y in zip(row["reasoning.a"], row["reasoning.b"], strict=True)
        ]
        return sum(pairs) / len(pairs)

    assert carrying(1.0) == 1.0
    assert 0.5 < carrying(0.0) < 0.65
    mixed = table(Arithmetic(count=500, max_digits=5, carry_share=0.9))
    assert set(mixed["reasoning.cell"]) == {f"{k}x{m}" for k in range(1, 6) for m in range(1, 6)}


def test_dialogue_share_controls_the_dialogues():
    source = Arithmetic(count=1_000, max_digits=5, dialogue_share=0.5, reverse="output", space_share=0.3)
    dialogues = 0
    for row in table(source).iter_rows(named=True):
        form = source.format(dialogue=any(letter.isalpha() for letter in row["text"]))
        dialogues += form.dialogue
        problem, result = form.parse(row["text"])
        assert (str(problem.a), str(problem.b), str(result)) == (
            row["reasoning.a"],
            row["reasoning.b"],
            row["reasoning.result"],
        )
    assert 450 < dialogues < 550


@pytest.mark.parametrize(
    "options",
    [
        {"min_digits": 5, "max_digits": 3},
        {"max_digits": 8, "pad_to": 7},
        {"operation": "mul", "scratchpad": "recursive"},
        {"operation": "mul", "carry_share": 0.5},
        {"balance": "values", "carry_share": 0.5},
    ],
)
def test_incompatible_options_are_reported(options: dict):
    assert len(list(Arithmetic(count=1, **options).check())) == 1


def test_digit_accuracy_is_aligned_at_the_last_digit():
    assert digit_accuracy(1234, 1234) == 1.0
    assert digit_accuracy(1234, 234) == 0.75
    assert digit_accuracy(1234, 1235) == 0.75
    assert digit_accuracy(12, 1200) == 0.0
    assert digit_accuracy(12, None) == 0.0
