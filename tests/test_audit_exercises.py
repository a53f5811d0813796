"""The audit of exercises finds planted faults."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_exercises")
sys.path.remove(FOLDER)

TEXT = 'def keep_even(scores: list[int]) -> list[int]:\n    """Keep the even scores."""\n    return [n for n in scores if n % 2 == 0]\n'


def row(**changes: Any) -> dict[str, Any]:
    draw = {"function_name": "keep_even", "concept": "remainders", "argument_types": ["list[int]"]}
    return {
        "text": TEXT,
        "textbooks.tests": "assert keep_even([1, 2]) == [2]\n",
        "textbooks.entry_point": "keep_even",
        "textbooks.concept": "remainders",
        "textbooks.argument_types": "list[int]",
        "draw": draw,
    } | {name.replace("_", ".", 1) if name.startswith("textbooks") else name: value for name, value in changes.items()}


def test_a_right_exercise_has_no_fault():
    assert AUDIT.false_facts(row()) == []


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        ("it parses", {"text": TEXT.replace(") ->", " ->")}),
        ("it has the stated function", {"text": TEXT.replace("keep_even", "keep_odd")}),
        ("the solution shows the concept", {"text": TEXT.replace("n % 2 == 0", "n > 0")}),
        ("the concept is the drawn one", {"textbooks_concept": "comprehensions"}),
        ("the argument types are the stated ones", {"textbooks_argument_types": "list[str]"}),
        ("the argument types are the drawn ones", {"draw": {"argument_types": ["list[int]", "int"]}}),
        ("the name is the drawn one", {"draw": {"function_name": "keep_odd"}}),
        ("there is a docstring", {"text": TEXT.replace('    """Keep the even scores."""\n', "")}),
        ("every argument is used", {"text": TEXT.replace("in scores", "in [2, 3]")}),
    ],
)
def test_planted_false_facts_are_found(fault: str, changes: dict[str, Any]):
    assert fault in AUDIT.false_facts(row(**changes))


def test_planted_wrong_and_missing_asserts_are_found():
    rows = [
        row(),
        row(textbooks_tests="assert keep_even([1, 2]) == [1]\n"),
        row(textbooks_tests=""),
        row(text=TEXT.replace("n % 2", "n % 0")),
    ]
    assert AUDIT.wrong_answers(rows) == [
        "keep_even: AssertionError",
        "keep_even: no assert",
        "keep_even: ZeroDivisionError",
    ]


def test_trees_are_equal_up_to_names_and_constants_only():
    renamed = TEXT.replace("scores", "prices").replace("% 2", "% 7")
    other = TEXT.replace("n % 2 == 0", "n % 2 != 0")
    assert AUDIT.distinct_trees([row(), row(text=renamed)]) == 0.5
    assert AUDIT.distinct_trees([row(), row(text=other)]) == 1.0


def test_a_planted_item_of_a_benchmark_is_near_it():
    item = next(iter(AUDIT.HeldOutExercises().items()))
    assert len(AUDIT.near_items([row(text=item.prompt + item.solution), row()], [AUDIT.HeldOutExercises()], 0.8)) == 1


def test_every_planted_fault_lowers_a_share():
    rows = [row(), row(textbooks_tests=""), row(text="def"), row(text=TEXT.replace("keep_even", "keep_odd"))]
    audit = AUDIT.check_exercises(rows)
    assert audit.documents == 4 and audit.share("fact") < 1 and audit.share("answer") < 0.5
    assert audit.checks["it parses"].false == 1 and audit.checks["it has the stated function"].false == 1
    assert len(audit.trees) == 3 and len(set(audit.trees)) == 1


def test_a_held_out_exercise_is_a_false_fact(monkeypatch: pytest.MonkeyPatch):
    item = next(iter(AUDIT.HeldOutExercises().items()))
    monkeypatch.setattr(AUDIT, "write_exercises", lambda *_, **__: ([row(text=item.prompt + item.solution)], AUDIT.Counter()))
    (audit,) = AUDIT.audit(1, 1)
    assert audit.checks["no exercise is like a held-out one"].false == 1


def test_written_exercises_are_right():
    (audit,) = AUDIT.audit(60, 5)
    assert audit.share("fact") == 1 and audit.share("answer") == 1
    assert 57 <= audit.documents <= 60 and len(set(audit.trees)) > 0.8 * audit.documents
