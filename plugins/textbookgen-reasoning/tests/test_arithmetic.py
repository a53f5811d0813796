"""Arithmetic: every format reads back what it wrote, results are right, and draws are what was asked for."""

from __future__ import annotations

from collections import Counter
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_reasoning.arithmetic import Format, Problem, digit_accuracy
from textbookgen_reasoning.sums import Arithmetic


def table(source: Arithmetic) -> pl.DataFrame:
    assert list(source.check()) == []
    return pl.concat(source.read())


def whole(problem: Problem, **options: object) -> str:
    return "".join(Format(operation=problem.operation, **options).write(problem, Random(0)))


def test_formats_look_as_they_should():
    plus, times = Problem("add", 239, 821), Problem("mul", 12, 34)
    assert whole(plus) == "2 3 9 + 8 2 1 = 1 0 6 0\n"
    assert whole(plus, spaced=False) == "239 + 821 = 1060\n"
    assert whole(plus, reverse="output", spaced=False) == "239 + 821 = 0601\n"
    assert whole(plus, reverse="both", spaced=False) == "932 + 128 = 0601\n"
    assert whole(plus, pad_to=5, spaced=False) == "00239 + 00821 = 001060\n"
    assert whole(times, pad_to=3, reverse="output", spaced=False) == "012 * 034 = 804000\n"
    assert whole(plus, scratchpad=True, spaced=False) == (
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
def test_what_is_written_is_read_back(operation, a, b, pad_to, reverse, spaced, space_share, scratchpad, talk, seed):
    form = Format(operation, pad_to, reverse, spaced, space_share, 3, scratchpad and operation == "add" and not talk, talk)
    problem = Problem(operation, a, b)
    prompt, answer = form.write(problem, Random(seed))
    assert form.read(prompt + answer) == (problem, a + b if operation == "add" else a * b)
    assert form.answer(answer) == problem.result


def test_wrong_results_are_read_as_they_stand():
    assert Format().read("2 + 2 = 5") == (Problem("add", 2, 2), 5)
    assert Format(reverse="output").answer("5 1") == 15
    assert Format(scratchpad=True).answer("2 + 2 : 4 carry 0 = 4\nrest") == 4


@pytest.mark.parametrize("text", ["", "hello", "2 + 2", "2 - 2 = 0", "2 + x = 3"])
def test_other_texts_are_refused(text: str):
    with pytest.raises(ValueError, match="no"):
        Format().read(text)
    with pytest.raises(ValueError, match="no problem"):
        Format(talk=True).read(text)


@pytest.mark.parametrize("text", ["", "no number", "1 or 2?", "\n5"])
def test_answers_that_are_no_number(text: str):
    assert Format().answer(text) is None


def test_scratchpads_reckon_right():
    for row in table(Arithmetic(count=200, most_digits=6, scratchpad="recursive")).iter_rows(named=True):
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


def test_lengths_are_even_and_results_right():
    rows = table(Arithmetic(count=4_000, fewest_digits=1, most_digits=4))
    assert (
        rows["reasoning.a"].cast(pl.Int64) + rows["reasoning.b"].cast(pl.Int64) == rows["reasoning.result"].cast(pl.Int64)
    ).all()
    cells = Counter(rows["reasoning.cell"])
    assert set(cells) == {f"{k}x{m}" for k in range(1, 5) for m in range(1, 5)}
    assert all(190 < count < 310 for count in cells.values())
    assert (rows["text"] == rows["reasoning.prompt"] + rows["reasoning.answer"]).all()
    assert rows["id"].n_unique() == 4_000
    assert rows[:50].equals(table(Arithmetic(count=50, fewest_digits=1, most_digits=4)))
    products = table(Arithmetic(count=200, operation="mul", most_digits=15))
    assert all(
        int(row["reasoning.a"]) * int(row["reasoning.b"]) == int(row["reasoning.result"])
        for row in products.iter_rows(named=True)
    )


def test_values_drawn_evenly_are_mostly_long():
    rows = table(Arithmetic(count=1_000, most_digits=3, balance="values"))
    assert 0.85 < (rows["reasoning.a"].str.len_chars() == 3).mean() < 0.95


def test_carries_come_as_often_as_wanted():
    def heavy(share: float) -> float:
        rows = table(Arithmetic(count=500, fewest_digits=6, most_digits=6, carry_share=share))
        pairs = [
            int(x) + int(y) >= 9
            for row in rows.iter_rows(named=True)
            for x, y in zip(row["reasoning.a"], row["reasoning.b"], strict=True)
        ]
        return sum(pairs) / len(pairs)

    assert heavy(1.0) == 1.0
    assert 0.5 < heavy(0.0) < 0.65
    mixed = table(Arithmetic(count=500, most_digits=5, carry_share=0.9))
    assert set(mixed["reasoning.cell"]) == {f"{k}x{m}" for k in range(1, 6) for m in range(1, 6)}


def test_some_are_told_in_everyday_language():
    source = Arithmetic(count=1_000, most_digits=5, talk_share=0.5, reverse="output", space_share=0.3)
    told = 0
    for row in table(source).iter_rows(named=True):
        form = source.format(talk=any(letter.isalpha() for letter in row["text"]))
        told += form.talk
        problem, result = form.read(row["text"])
        assert (str(problem.a), str(problem.b), str(result)) == (
            row["reasoning.a"],
            row["reasoning.b"],
            row["reasoning.result"],
        )
    assert 450 < told < 550


@pytest.mark.parametrize(
    "options",
    [
        {"fewest_digits": 5, "most_digits": 3},
        {"most_digits": 8, "pad_to": 7},
        {"operation": "mul", "scratchpad": "recursive"},
        {"operation": "mul", "carry_share": 0.5},
        {"balance": "values", "carry_share": 0.5},
    ],
)
def test_options_that_do_not_go_together_are_told(options: dict):
    assert len(list(Arithmetic(count=1, **options).check())) == 1


def test_digit_accuracy_counts_from_the_last():
    assert digit_accuracy(1234, 1234) == 1.0
    assert digit_accuracy(1234, 234) == 0.75
    assert digit_accuracy(1234, 1235) == 0.75
    assert digit_accuracy(12, 1200) == 0.0
    assert digit_accuracy(12, None) == 0.0
