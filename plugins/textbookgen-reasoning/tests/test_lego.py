"""LEGO: texts can be parsed back, values agree with an independent solver, and options take effect."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from textbookgen_reasoning.groups import group
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.puzzles import Clause, Puzzle, format_puzzle, parse_puzzle, solve


def table(source: Lego) -> pl.DataFrame:
    assert list(source.check()) == []
    return pl.concat(source.read())


@pytest.mark.parametrize("name", ["Z2", "Z3", "Z7", "S3"])
def test_groups_satisfy_the_axioms(name: str):
    it = group(name)
    elements = it.elements
    identity = elements[0]
    for g in elements:
        assert it.act(identity, g) == it.act(g, identity) == g
        assert sorted(it.act(g, x) for x in elements) == sorted(elements)
        for h in elements:
            assert all(it.act(g, it.act(h, x)) == it.act(it.act(g, h), x) for x in elements)
    commutes = all(it.act(g, h) == it.act(h, g) for g in elements for h in elements)
    assert commutes == (name != "S3")


@pytest.mark.parametrize("name", ["Z1", "Zx", "S4", ""])
def test_unknown_groups_are_rejected(name: str):
    with pytest.raises(ValueError, match="unknown group"):
        group(name)
    with pytest.raises(ValidationError, match="unknown group"):
        Lego(count=1, group=name)


def test_the_example_of_the_paper():
    text = "a=+1; b=-a; e=+b; d=-f; c=+d; f=+e;"
    puzzle = parse_puzzle(text, group("Z2"), "symbols")
    assert solve(puzzle.clauses, group("Z2")) == {"a": "+1", "b": "-1", "e": "-1", "f": "-1", "d": "+1", "c": "+1"}
    assert format_puzzle(puzzle, group("Z2"), "symbols") == text


def test_word_notation():
    puzzle = Puzzle((Clause("a", "-1", None), Clause("b", "-1", "a"), Clause("c", "+1", "b")), (("b", "+1"),))
    assert format_puzzle(puzzle, group("Z2"), "words") == "a = val 0 , b = not a , c = val b , ? b = 1 ,"


def test_unresolvable_clauses_are_rejected():
    for clauses in ([Clause("a", "+1", "b")], [Clause("a", "+1", "b"), Clause("b", "+1", "a")]):
        with pytest.raises(ValueError, match="no value"):
            solve(clauses, group("Z2"))


@pytest.mark.parametrize("text", ["a=+1; b", "a=2;", "a=*b;", "a=+1; ?b=+1;", "a=+1; ?a=7;", "1=+1;"])
def test_malformed_texts_are_rejected(text: str):
    with pytest.raises(ValueError, match="invalid"):
        parse_puzzle(text, group("Z2"), "symbols")


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([("Z2", "symbols"), ("Z2", "words"), ("Z3", "symbols"), ("Z10", "symbols"), ("S3", "symbols")]),
    st.integers(1, 8),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_parsing_inverts_formatting_and_answers_are_correct(kind, variables, chains, distractors, shuffle, seed):
    name, notation = kind
    source = Lego(
        count=2, variables=variables, supervised=variables, chains=chains, distractors=distractors,
        group=name, notation=notation, shuffle=shuffle, seed=seed,
    )  # fmt: skip
    for row in table(source).iter_rows(named=True):
        puzzle = parse_puzzle(row["text"], group(name), notation)
        assert format_puzzle(puzzle, group(name), notation) == row["text"] == row["reasoning.prompt"] + row["reasoning.answer"]
        values = _independent_values(puzzle, name)
        assert dict(puzzle.questions).items() <= values.items()
        assert dict(zip(row["reasoning.variables"], row["reasoning.values"], strict=True)) == values
        assert len(puzzle.clauses) == chains * variables + distractors
        assert len(puzzle.questions) == chains * variables


def _independent_values(puzzle: Puzzle, name: str) -> dict[str, str]:
    """Values by repeated sweeps over the clauses with plain arithmetic, or with permutations."""
    s3 = {"E": (0, 1, 2), "A": (0, 2, 1), "B": (1, 0, 2), "R": (1, 2, 0), "Q": (2, 0, 1), "C": (2, 1, 0)}
    names = {value: key for key, value in s3.items()}
    values: dict[str, str] = {}
    while len(values) < len(puzzle.clauses):
        for clause in puzzle.clauses:
            if clause.of is None:
                values[clause.variable] = clause.action
            elif clause.of in values:
                before, action = values[clause.of], clause.action
                if name == "Z2":
                    values[clause.variable] = f"{int(before) * int(action):+d}"
                elif name == "S3":
                    values[clause.variable] = names[tuple(s3[action][each] for each in s3[before])]
                else:
                    values[clause.variable] = str((int(before) + int(action)) % int(name[1:]))
    return values


def test_each_question_alone_tells_its_place():
    rows = table(Lego(count=50, variables=5, supervised=4, layout="each"))
    assert rows.height == 200
    assert Counter(rows["reasoning.cell"]) == {f"place {place:02d}": 50 for place in range(4)}
    assert rows["id"].n_unique() == 200
    for row in rows.iter_rows(named=True):
        (question,) = parse_puzzle(row["text"], group("Z2"), "symbols").questions
        assert row["reasoning.variables"][int(row["reasoning.cell"][-2:])] == question[0]
        assert row["text"] == row["reasoning.prompt"] + row["reasoning.answer"]


def test_only_supervised_variables_are_asked_about():
    for row in table(Lego(count=30)).iter_rows(named=True):
        questions = parse_puzzle(row["text"], group("Z2"), "symbols").questions
        assert {variable for variable, _ in questions} == set(row["reasoning.variables"][:6])


def test_mixed_lengths_shuffling_and_clauses_alone():
    rows = table(Lego(count=300, variables=6, supervised=2, min_variables=3, layout="clauses"))
    assert set(rows["reasoning.cell"]) == {"length 03", "length 04", "length 05", "length 06"}
    assert not rows["text"].str.contains("?", literal=True).any()
    assert (rows["reasoning.answer"] == "").all()
    ordered = table(Lego(count=20, shuffle=False))
    for row in ordered.iter_rows(named=True):
        puzzle = parse_puzzle(row["text"], group("Z2"), "symbols")
        assert [clause.variable for clause in puzzle.clauses] == row["reasoning.variables"]
        assert puzzle.clauses[0].of is None


def test_values_are_balanced_and_puzzles_depend_on_the_seed_but_not_the_count():
    rows = table(Lego(count=2_000))
    values = Counter(value for each in rows["reasoning.values"] for value in each)
    assert 0.48 < values["+1"] / values.total() < 0.52
    assert rows["text"].n_unique() == 2_000
    assert rows[:100].equals(table(Lego(count=100)))
    assert not set(rows["id"]) & set(table(Lego(count=100, seed=1))["id"])


@pytest.mark.parametrize(
    "options",
    [
        {"variables": 20, "chains": 2},
        {"variables": 4, "supervised": 5},
        {"variables": 6, "min_variables": 7},
        {"group": "Z3", "notation": "words"},
        {"variables": 26, "distractors": 1},
    ],
)
def test_incompatible_options_are_reported(options: dict):
    assert len(list(Lego(count=1, **options).check())) == 1


def test_the_estimate_matches_the_documents():
    for options in ({"layout": "each", "chains": 2, "variables": 5, "supervised": 3}, {"layout": "all"}):
        source = Lego(count=30, **options)
        assert table(source).height == source.estimate({}).documents
