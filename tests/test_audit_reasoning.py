"""The audit of reasoning problems finds planted faults, and none in problems as they are generated."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT, COMMON = import_module("audit_reasoning"), import_module("audit_common")
sys.path.remove(FOLDER)


def failed(check: Any, row: dict[str, Any], options: dict[str, Any]) -> set[str]:
    """Return the names of the checks that a problem fails."""
    audit = AUDIT.Audit("planted")
    check(audit, row, options)
    assert audit.checks
    return {check.name for check in audit.checks.values() if check.false}


def first(source: str, form: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first problem of a form, and the options of the form."""
    kind = getattr(AUDIT, source)
    options = {"Lego": AUDIT.LEGO_FORMS, "Arithmetic": AUDIT.ARITHMETIC_FORMS, "Programs": AUDIT.PROGRAM_FORMS}[source][form]
    return dict(AUDIT.write_rows(kind(count=3, seed=1, **options), 3)[2]), dict(options)


CHAIN = {
    "text": "b=-a; c=+b; a=+1; ?a=+1; ?b=-1; ?c=-1;",
    "reasoning.prompt": "b=-a; c=+b; a=+1; ",
    "reasoning.answer": "?a=+1; ?b=-1; ?c=-1;",
    "reasoning.cell": "length 03",
    "reasoning.variables": ["a", "b", "c"],
    "reasoning.values": ["+1", "-1", "-1"],
}
CHAIN_OPTIONS = {"variables": 3, "supervised": 3}


def chain(**changes: Any) -> dict[str, Any]:
    row = {**CHAIN, **changes}
    if "reasoning.answer" in changes:
        row["text"] = row["reasoning.prompt"] + row["reasoning.answer"]
    return row


@pytest.mark.parametrize(
    ("row", "options", "fault"),
    [
        (chain(**{"reasoning.answer": "?a=+1; ?b=-1; ?c=+1;"}), {}, "the answer is right"),
        (chain(**{"reasoning.values": ["+1", "-1", "+1"]}), {}, "the column of values is right"),
        (chain(**{"reasoning.cell": "length 04"}), {}, "the cell is right"),
        (chain(**{"reasoning.answer": ""}), {}, "there is a question"),
        (chain(**{"reasoning.prompt": "b=-a; c=+b; "}), {}, "the text is prompt and answer"),
        (CHAIN, {"supervised": 2}, "the questions are about supervised variables"),
        (CHAIN, {"shuffle": False}, "the clauses are in order"),
    ],
)
def test_faults_of_chains_are_found(row: dict[str, Any], options: dict[str, Any], fault: str):
    assert failed(AUDIT.check_chain, CHAIN, CHAIN_OPTIONS) == set()
    assert fault in failed(AUDIT.check_chain, row, {**CHAIN_OPTIONS, **options})


@pytest.mark.parametrize(
    ("clauses", "notation", "values"),
    [
        ("c=b+3; a=4; b=a+2;", "Z5", {"a": "4", "b": "1", "c": "4"}),
        ("b=R*a; a=R; c=A*b;", "S3", {"a": "R", "b": "Q", "c": "B"}),
        ("b = not a , a = val 1 , c = val b ,", "words", {"a": "1", "b": "0", "c": "0"}),
        ("a=+b; b=-a;", "Z2", {}),
    ],
)
def test_chains_of_every_group_are_solved(clauses: str, notation: str, values: dict[str, str]):
    assert AUDIT.chain_values(clauses, notation) == values


def with_text(row: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return a problem in whose text, prompt and answer something is replaced."""
    changed = {name: row[name].replace(old, new) for name in ("text", "reasoning.prompt", "reasoning.answer")}
    assert changed["text"] != row["text"]
    return {**row, **changed}


def with_other_result(row: dict[str, Any]) -> dict[str, Any]:
    """Return a problem whose last digit is another."""
    place = max(at for at, letter in enumerate(row["reasoning.answer"]) if letter.isdigit())
    digit = str((int(row["reasoning.answer"][place]) + 1) % 10)
    answer = row["reasoning.answer"][:place] + digit + row["reasoning.answer"][place + 1 :]
    return {**row, "reasoning.answer": answer, "text": row["reasoning.prompt"] + answer}


@pytest.mark.parametrize("form", AUDIT.ARITHMETIC_FORMS)
def test_a_wrong_result_is_found_in_every_form(form: str):
    row, options = first("Arithmetic", form)
    assert failed(AUDIT.check_arithmetic, row, options) == set()
    assert "the answer is right" in failed(AUDIT.check_arithmetic, with_other_result(row), options)
    columns = {**row, "reasoning.a": str(int(row["reasoning.a"]) + 1)}
    assert failed(AUDIT.check_arithmetic, columns, options) == {"the columns are the numbers in the text"}
    cell = {**row, "reasoning.cell": "9x9"}
    assert failed(AUDIT.check_arithmetic, cell, options) == {"the cell is right"}
    assert "the lengths are in range" in failed(AUDIT.check_arithmetic, row, {**options, "max_digits": 0})
    assert "the text is prompt and answer" in failed(AUDIT.check_arithmetic, {**row, "text": row["text"] + "."}, options)


def test_faults_of_arithmetic_formats_are_found():
    row, options = first("Arithmetic", "scratchpads")
    assert failed(AUDIT.check_arithmetic, with_text(row, "carry 0", "carry 1"), options) == {"the steps are right"}
    row, options = first("Arithmetic", "products")
    assert "numbers are padded" in failed(AUDIT.check_arithmetic, row, {**options, "pad_to": 5})
    row = {
        "text": "0 7 + 5 = 1 2\n",
        "reasoning.prompt": "0 7 + 5 = ",
        "reasoning.answer": "1 2\n",
        "reasoning.cell": "1x1",
        "reasoning.a": "7",
        "reasoning.b": "5",
        "reasoning.result": "12",
    }
    assert failed(AUDIT.check_arithmetic, row, {"max_digits": 2}) == {"numbers have no leading zeros"}
    row = {
        "text": "Each of 1 gardens has 8 trees. How many trees are there in all?\nIn all there are 8 trees.\n",
        "reasoning.prompt": "Each of 1 gardens has 8 trees. How many trees are there in all?\n",
        "reasoning.answer": "In all there are 8 trees.\n",
        "reasoning.cell": "1x1",
        "reasoning.a": "1",
        "reasoning.b": "8",
        "reasoning.result": "8",
    }
    singular = failed(AUDIT.check_arithmetic, row, {"max_digits": 2, "operation": "mul", "dialogue_share": 1.0})
    assert singular == {"things are counted in the plural"}


PROGRAM = {
    "text": "a = 3\nb = a + 2\nc = 7\n# b = 5\n",
    "reasoning.prompt": "a = 3\nb = a + 2\nc = 7\n# b = ",
    "reasoning.answer": "5\n",
    "reasoning.cell": "02 statements",
    "reasoning.variables": ["b"],
}


@pytest.mark.parametrize(
    ("changes", "options", "fault"),
    [
        ({"reasoning.answer": "6\n"}, {}, "the answer is right"),
        ({"reasoning.cell": "03 statements"}, {}, "the cell is right"),
        ({"reasoning.variables": ["c"]}, {}, "the question is about the variable"),
        ({}, {"max_value": 6}, "values stay in range"),
        ({}, {"statements": 4}, "the number of statements is right"),
        ({"text": "a = 3"}, {}, "the text is prompt and answer"),
    ],
)
def test_faults_of_programs_are_found(changes: dict[str, Any], options: dict[str, Any], fault: str):
    assert failed(AUDIT.check_program, PROGRAM, {"statements": 3}) == set()
    assert fault in failed(AUDIT.check_program, {**PROGRAM, **changes}, {"statements": 3, **options})


@pytest.mark.skipif(AUDIT.shutil.which("cc") is None, reason="there is no C compiler")
def test_a_wrong_answer_of_a_c_program_is_found_by_the_compiled_program():
    rows = AUDIT.write_rows(AUDIT.Programs(count=4, **AUDIT.PROGRAM_FORMS["c programs"]), 4)
    audit = AUDIT.Audit("c")
    AUDIT.check_compiled(audit, [*rows[:3], {**rows[3], "reasoning.answer": "1000\n"}])
    check = audit.checks["the compiled program agrees"]
    assert (check.true, check.false) == (3, 1)


QUESTION = "A cup of soup takes 4 spoons of lentils, and 9 people have one each. How many spoons is that?"
REPLY = "That is 4 * 9 = 36 spoons. The answer is 36."
SLIP = "That is 4 * 9 = 32 spoons. The answer is 32."


@pytest.mark.parametrize(
    ("question", "reply", "slip", "fault"),
    [
        (QUESTION, SLIP, REPLY, "the answer is right"),
        (QUESTION, REPLY.replace("= 36", "= 35"), SLIP, "every equation is right"),
        (QUESTION, "The answer is 36.", "The answer is 32.", "the reply uses every number of the question"),
        (QUESTION, REPLY, REPLY, "the reply with a slip is wrong"),
        (QUESTION, REPLY, SLIP.replace("32", "-4"), "the slip has the form of the right reply"),
        ("At noon it is 6 degrees, and each hour it gets 3 degrees colder. How many degrees is it after 2 hours?", "", "", "the answer is positive"),
    ],
)  # fmt: skip
def test_faults_of_word_problems_are_found(question: str, reply: str, slip: str, fault: str):
    for texts, expected in (((QUESTION, REPLY, SLIP), False), ((question, reply, slip), True)):
        audit = AUDIT.Audit("word problems")
        AUDIT.check_word_problem(audit, *texts)
        assert (audit.checks[fault].false == 1) is expected


@pytest.mark.parametrize(
    ("task", "prompt", "truth"),
    [
        (
            "leg_counting",
            "Question: Now, how many legs are there in total if you have 3 sea slugs, 2 praying mantiss, 1 dog?\n",
            "16",
        ),
        ("leg_counting", "Question: Now, how many legs are there in total if you have 3 unicorns, 1 dog?\n", None),
        ("spell_backward", "Question: Spell this word backward (example: sun -> nus): house\nAnswer: ", "esuoh"),
    ],
)
def test_the_truth_of_gym_tasks_is_computed(task: str, prompt: str, truth: str | None):
    assert AUDIT.gym_truth(task, prompt) == truth


def test_generated_problems_have_no_faults():
    audits = AUDIT.audit(20, 5)
    assert {audit.generator for audit in audits} >= {*AUDIT.LEGO_FORMS, *AUDIT.ARITHMETIC_FORMS, "word problems", "gym"}
    faults = [check.examples for audit in audits for check in audit.checks.values() if check.kind != "figure" and check.false]
    assert not faults
    assert COMMON.totals(audits)["answers_right"] == 1.0
