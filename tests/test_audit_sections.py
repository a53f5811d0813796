"""The audit of sections finds planted faults, and none in sections as they are written."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textbookgen_procedural")
FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_sections")
sys.path.remove(FOLDER)

TOPIC = "the mean of leaf lengths"
DRAW = {
    "topic": TOPIC,
    "course": "botany > leaf lengths > summaries of leaf lengths",
    "path": ["botany", "leaf lengths", "summaries of leaf lengths", TOPIC],
    "discipline": "botany",
    "audience": "a first-year university student",
    "style": "textbook section",
    "persona": "a crane operator above a harbour",
    "passage": "The library of the town was closed on that day, and the key to its old door lay in a drawer.",
}
TEXT = """# The mean of leaf lengths

A crane operator above a harbour told us about this case. On the back of the page somebody had drawn a key.

The mean of leaf lengths is the value that each of the leaves would have if the total were shared equally.

**Rule.** Mean = total of the values / number of values.

**Example.** For 4 leaves, the leaf lengths are 20, 30, 40 and 50 millimetres. What is the mean?

The total is 20 + 30 + 40 + 50 = 140. The mean is 140 / 4 = 35 millimetres.

**Limits.** One very large value pulls the mean up.

**Exercise.** For 4 leaves, the leaf lengths are 24, 30, 40 and 50 millimetres. What is the mean?

**Answer.** The total is 24 + 30 + 40 + 50 = 144. The mean is 144 / 4 = 36 millimetres.
"""
ROW = {
    "text": TEXT,
    "textbooks.topic": TOPIC,
    "textbooks.course": DRAW["course"],
    "textbooks.style": DRAW["style"],
    "textbooks.audience": DRAW["audience"],
}


def failed(row: dict[str, Any], draw: dict[str, Any]) -> set[str]:
    audit = AUDIT.Audit("planted")
    AUDIT.check_section(audit, row, draw)
    assert len(audit.checks) >= 14
    return {check.name for check in audit.checks.values() if check.false}


def test_a_sound_section_passes():
    assert failed(ROW, DRAW) == set()


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("# The mean", "# The median", "the heading is the topic"),
        ("leaf lengths", "petal counts", "the body is about the topic"),
        ("140 / 4 = 35", "140 / 4 = 36", "the equations are right"),
        ("20 + 30 + 40 + 50 = 140", "20 + 30 + 40 + 50 = 130", "the equations are right"),
        ("144 / 4 = 36 millimetres", "144 / 4 = 36. So it is 37 millimetres", "the answer of the exercise is right"),
        ("**Answer.** ", "**Reply.** ", "there is an exercise with an answer"),
        ("**Example.** ", "Example: ", "the text has the stated style"),
        ("**Limits.** ", "", "the text suits the stated audience"),
        ("24, 30, 40 and 50 millimetres. What", "20, 30, 40 and 50 millimetres. What", "the exercise differs from the example"),
        ("a key", "a old key", "articles fit"),
        ("told us", "told told us", "no word comes twice in a row"),
        ("leaves would", "{C} would", "no slot is open"),
        ("A crane operator above a harbour", "Somebody", "the person appears"),
        (
            "a key.",
            "a key to its old door lay in a drawer and the key to its old door lay in a drawer.",
            "the passage is not copied",
        ),
        ("drawn a key", "drawn a spoon", "a detail of the passage is used"),
    ],
)
def test_a_planted_fault_is_found(old: str, new: str, check: str):
    head, body = TEXT.split("\n", 1)
    text = TEXT.replace(old, new) if old in head and not old.startswith("leaf") else f"{head}\n{body.replace(old, new)}"
    assert text != TEXT
    assert check in failed({**ROW, "text": text}, DRAW)


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("textbooks.topic", "the median of leaf lengths", "the stated topic is the drawn one"),
        ("textbooks.course", "zoology > leaf lengths > summaries of leaf lengths", "the stated path ends above the topic"),
        ("textbooks.course", "botany > leaf lengths", "the stated path ends above the topic"),
        ("textbooks.style", "letter", "the text has the stated style"),
        ("textbooks.audience", "a child of eight", "the text suits the stated audience"),
        ("textbooks.audience", "a nurse between two shifts", "the text suits the stated audience"),
    ],
)
def test_a_wrong_statement_about_the_section_is_found(column: str, value: str, check: str):
    assert check in failed({**ROW, column: value}, DRAW)


@pytest.mark.parametrize("start", list(AUDIT.FORMULAS))
def test_each_formula_agrees_with_the_teacher_and_notices_a_changed_answer(start: str):
    from random import Random

    from textbookgen_procedural.lessons.catalogue import known_topics

    title = next(
        title for title in known_topics() if title.startswith(start) and (start != "how long " or title.endswith("takes"))
    )
    for seed in range(20):
        exercise = known_topics()[title].lesson(Random(seed)).exercise
        question, answer = f"{exercise.situation} {exercise.question}", exercise.answer
        assert AUDIT.answer_is_right(title, question, answer), (question, answer)
        wrong = AUDIT._NUMBER.sub(lambda match: str(float(match[0]) + 1_000), answer)
        assert not AUDIT.answer_is_right(title, question, wrong)


@pytest.mark.parametrize(
    ("question", "answer", "right"),
    [
        (
            "Here is a steel nail. It is made of steel. Will it float?",
            "Steel is denser. No, a steel nail will not float.",
            True,
        ),
        ("Here is a steel nail. It is made of steel. Will it float?", "Yes, a steel nail will float.", False),
        ("Here is a cork. It is made of cork. Will it burn?", "No, a cork will not burn.", False),
        ("Will it burn?", "Yes, it will.", False),
    ],
)
def test_answers_on_materials_are_compared_with_what_is_true(question: str, answer: str, right: bool):
    assert AUDIT.answer_is_right("whether a thing burns", question, answer) is right


def test_what_the_teacher_writes_today_passes():
    topics, sections = AUDIT.audit(60, seed=3)
    assert sections.documents == 60 and topics.documents > 500
    for audit in (topics, sections):
        assert audit.share("fact") > 0.99
    assert sections.share("answer") == 1.0 and sections.counts("answer")[1] > 10
