"""The audit of pages finds planted faults."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest

from textbookgen.api.errors import PluginError

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_pages")
sys.path.remove(FOLDER)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    found, refused = AUDIT.write_pages(60, 3)
    assert len(found) == 60 and not refused
    return list(found)


def audit(rows: list[dict[str, Any]]) -> Any:
    try:
        return AUDIT.check_pages(rows, 3)
    except PluginError as error:
        pytest.skip(error.problem)


def test_pages_of_the_embedded_teacher_pass(rows: list[dict[str, Any]]) -> None:
    found = audit(rows)
    assert found.documents == 60 and found.share("answer") == 1.0 and found.share("fact") > 0.97
    assert found.checks["the code runs"].share == found.checks["the printed output is as stated"].share == 1.0
    assert found.checks["a changed output is noticed by the filter"].true > 5


def swapped(rows: list[dict[str, Any]], field: str) -> list[dict[str, Any]]:
    """Pages with the drawn value of others."""
    values = [row["draw"][field] for row in rows]
    return [{**row, "draw": {**row["draw"], field: value}} for row, value in zip(rows, values[7:] + values[:7], strict=True)]


def test_a_page_about_another_topic_is_noticed(rows: list[dict[str, Any]]) -> None:
    changed = [row for row, old in zip(swapped(rows, "topic"), rows, strict=True) if row["draw"] != old["draw"]]
    facts = [AUDIT.declared_facts(row) for row in changed[:20]]
    assert sum(fact["the page is about its topic"] for fact in facts) <= 2
    assert sum(fact["its words suggest the topic"] for fact in facts) <= 4


def test_a_page_for_another_audience_is_noticed(rows: list[dict[str, Any]]) -> None:
    nurse = "a nurse who wants to automate a small report"
    others = [row for row in rows if row["draw"]["audience"] != nurse][:20]
    facts = [AUDIT.declared_facts({**row, "draw": {**row["draw"], "audience": nurse}}) for row in others]
    assert sum(fact["the audience's world occurs"] for fact in facts) <= 8


def test_pages_that_ignore_audience_and_level_are_noticed(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in rows if row["draw"]["difficulty"] in (2, 3, 4))
    assert all(AUDIT.declared_facts(row).values())
    monkeypatch.setattr(AUDIT, "sibling", lambda draw, **changes: row["text"])
    facts = AUDIT.declared_facts(row)
    assert not facts["another audience gets another page"] and not facts["a higher level has more text or code"]


def test_wrong_output_and_failing_code_are_noticed(rows: list[dict[str, Any]]) -> None:
    wrong = [{**row, "text": AUDIT.with_wrong_output(Random(n), row["text"]) or row["text"]} for n, row in enumerate(rows[:12])]
    failing = [{**row, "text": row["text"].replace("```python\n", "```python\nraise KeyError\n", 1)} for row in rows[:4]]
    checks = audit(wrong).checks
    planted = sum(one["text"] != other["text"] for one, other in zip(wrong, rows[:12], strict=True))
    assert planted > 6 and checks["the printed output is as stated"].false == planted
    assert audit(failing).checks["the code runs"].false == 4


PREDICT = "# X\n\n```python\nprint(2 + 3)  # 5\n```\n\n**Question.** Put `4` where the snippet has `3`. What is printed?\n\n**Answer.** It prints `6`.\n"
GAP = (
    "# X\n\n**Exercise.** Which line belongs in place of `____`, if the program prints `5`?\n\n```text\nx = 2\n____\nprint(x)\n```\n\n"
    "**Answer.** `x = x + 3`\n"
)
ORDER = (
    "# X\n\n**Exercise.** These lines are in the wrong order. Sort them, so that the program prints `2`.\n\n```text\nprint(x)\nx = 2\n```\n\n"
    "**Answer.** The right order is:\n\n```python\nx = 2\nprint(x)  # 2\n```\n"
)
MISTAKE = (
    "# X\n\n**Exercise.** One line of this program is wrong: it should print `5`. Which one?\n\n```python\nx = 2 - 3\nprint(x)  # -1\n```\n\n"
    "**Answer.** Line 1: `x = 2 - 3` should be `x = 2 + 3`.\n"
)


@pytest.mark.parametrize(
    ("page", "true", "false"),
    [
        (PREDICT, "prints `6`", "prints `7`"),
        (PREDICT, "`3`. What", "`2`. What"),
        (GAP, "x + 3", "x + 4"),
        (GAP, "prints `5`", "prints `6`"),
        (ORDER, "prints `2`", "prints `3`"),
        (ORDER, "```text\nprint(x)\n", "```text\nprint(x, x)\n"),
        (MISTAKE, "x = 2 + 3`", "x = 2 * 3`"),
        (MISTAKE, "Line 1", "Line 2"),
    ],
)
def test_wrong_answers_are_noticed(page: str, true: str, false: str) -> None:
    for text, is_right in ((page, True), (page.replace(true, false), False)):
        found = AUDIT.Audit("page")
        try:
            AUDIT.check_answers(found, [text])
        except PluginError as error:
            pytest.skip(error.problem)
        assert found.counts("answer") == (int(is_right), 1), text


def test_different_solutions_and_repeated_pages_are_noticed(rows: list[dict[str, Any]]) -> None:
    pair = "**First solution.** A:\n\n```python\nprint(1)  # 1\n```\n\n**Second solution.** B:\n\n```python\nprint({})\n```\n"
    for value, same in (("1", 1), ("2", 0)):
        found = AUDIT.Audit("page")
        AUDIT.check_answers(found, [pair.format(value)])
        assert found.counts("answer") == (same, 1)
    assert not audit([*rows[:2], rows[0]]).checks["no page is there twice"].share
    assert AUDIT.near_duplicates([rows[0]["text"], rows[1]["text"], rows[0]["text"] + "More."]) == pytest.approx(1 / 3)
