"""The audit of all generators: its counts, table, totals, and that it runs the audits that are there."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textbookgen_procedural")
FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))
COMMON, AUDIT = import_module("audit_common"), import_module("audit")
sys.path.remove(str(FOLDER))


def audit(name: str, facts: tuple[int, int] = (0, 0), answers: tuple[int, int] = (0, 0), trees: tuple[str, ...] = ()) -> Any:
    """An audit in which so many facts and answers came out true and false."""
    found = COMMON.Audit(name, sum(facts) + sum(answers), trees=list(trees))
    for kind, (true, false) in (("fact", facts), ("answer", answers)):
        for number in range(true + false):
            found.check(f"a {kind}", number < true, f"{name} {number}", kind)
    return found


def test_checks_are_counted_with_the_first_examples_of_failures():
    found = audit("story", facts=(3, 7))
    check = found.checks["a fact"]
    assert (check.true, check.false, check.share) == (3, 7, 0.3)
    assert check.examples == [f"story {number}" for number in range(3, 3 + COMMON.MAX_EXAMPLES)]
    assert found.share("fact") == 0.3 and found.share("answer") is None


def test_totals_weigh_every_check_alike_and_figures_do_not_enter():
    one, two = audit("one", facts=(9, 1), answers=(4, 0), trees=("a", "b", "a", "a")), audit("two", facts=(90, 0))
    one.check("the grammar checker has no hint", False, "x", "figure")
    assert COMMON.totals([one, two]) == {
        "facts_true": 0.99,
        "answers_right": 1.0,
        "distinct_exercise_trees": 0.5,
        "documents": 104,
    }


def test_what_was_not_checked_is_no_share():
    assert COMMON.totals([audit("one", facts=(1, 0))]) == {
        "facts_true": 1.0,
        "answers_right": None,
        "distinct_exercise_trees": None,
        "documents": 1,
    }
    assert COMMON.totals([])["facts_true"] is None


def test_the_table_has_a_line_for_each_check_and_example():
    found = audit("story", facts=(3, 1))
    found.notes.append("remark")
    lines = list(COMMON.table([found]))
    assert lines[1].split() == ["story", "a", "fact", "fact", "4", "3", "1", "0.7500"]
    assert lines[2].strip() == "story 3" and lines[3].endswith("note: remark")


@pytest.mark.parametrize(
    ("planted", "missed"),
    [
        (audit("one", facts=(98, 2)), ["facts_true"]),
        (audit("one", facts=(99, 1)), []),
        (audit("one", answers=(999, 1)), ["answers_right"]),
        (audit("one", answers=(999, 0)), []),
        (audit("one", trees=("a", "a")), ["distinct_exercise_trees"]),
    ],
)
def test_a_share_below_its_target_is_missed(planted: Any, missed: list[str]):
    assert AUDIT.missed(COMMON.totals([planted])) == missed


def test_every_audit_beside_it_is_found_and_has_a_function():
    assert {"stories", "exercises", "answers"} <= set(AUDIT.names())
    assert "common" not in AUDIT.names()
    for name in AUDIT.names():
        assert "\ndef audit(documents: int, seed: int)" in (FOLDER / f"audit_{name}.py").read_text()


def test_an_unknown_audit_is_named():
    with pytest.raises(SystemExit, match="no audit named poems; there are answers, "):
        AUDIT.run(["poems"], 1, 1)


def test_the_program_prints_a_table_and_ends_with_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", ["audit.py", "--documents", "5", "--seed", "2", "--only", "stories"])
    with pytest.raises(SystemExit) as end:
        AUDIT.main()
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])
    assert figures["documents"] == 5 and figures["distinct_exercise_trees"] is None
    assert end.value.code == int(figures["facts_true"] < 0.99)
    assert lines[0].startswith("generator") and any(line.startswith("story") for line in lines)
