"""Excerpts: kept ones are the annotated lines that are complex enough, and nothing else."""

from __future__ import annotations

import json

import pytest
from textbookgen_textbooks.excerpts import Excerpts

from textbookgen.api.errors import UnusableReply


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def excerpt(start: int, end: int, complexity: str = "C", reasoning: bool = True) -> dict:
    return {
        "start_line": start,
        "end_line": end,
        "information": "explanation",
        "description": "why",
        "complexity": complexity,
        "obscurity": "low",
        "reasoning": reasoning,
        "steps": [{"assumption": "ice is light", "conclusion": "it floats", "description": "density"}] if reasoning else [],
        "dependencies": ["density"],
    }


LINES = [f"Line {n} has some words in it." for n in range(1, 11)]


def test_kept_excerpts_are_whole_lines_that_are_complex_and_have_reasoning(runner):
    tags = [excerpt(1, 2), excerpt(3, 3, "A"), excerpt(4, 4, "B"), excerpt(5, 6, "D", reasoning=False), excerpt(9, 99)]
    stage = Excerpts(teacher="author", inputs="web", min_words=3)
    rows = runner.run(stage, page("\n".join(LINES)), lambda task, draw: {"educational": True, "excerpts": tags})
    assert [row["text"] for row in rows] == ["\n".join(LINES[:2]) + "\n", LINES[3] + "\n", "\n".join(LINES[8:]) + "\n"]
    assert rows[0]["textbooks.complexity"] == "C"
    assert rows[0]["textbooks.steps"] == ["ice is light => it floats"]
    assert rows[0]["textbooks.dependencies"] == ["density"]
    assert "\n10| Line 10" in runner.teacher.requests[0][1]


def test_options_widen_what_is_kept(runner):
    tags = {"educational": True, "excerpts": [excerpt(1, 1, "A"), excerpt(2, 3, reasoning=False), excerpt(7, 5)]}
    stage = Excerpts(teacher="author", inputs="web", min_complexity="A", require_reasoning=False, min_words=8)
    rows = runner.run(stage, page("\n".join(LINES)), lambda task, draw: tags)
    assert [row["text"] for row in rows] == ["\n".join(LINES[1:3]) + "\n"]


def test_long_pages_are_shown_in_windows_with_separate_line_numbers(runner):
    stage = Excerpts(teacher="author", inputs="web", window_lines=4, min_words=0)
    rows = runner.run(stage, page("\n".join(LINES)), lambda task, draw: {"educational": True, "excerpts": [excerpt(1, 1)]})
    assert [row["text"].strip() for row in rows] == [LINES[0], LINES[4], LINES[8]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"educational": False, "excerpts": [excerpt(1, 9)]}, "no excerpt is worth keeping"),
        ({"educational": True, "excerpts": []}, "no excerpt is worth keeping"),
        (
            '{"educational": true, "excerpts": [{"start_line": "x"}]}',
            "the reply's `excerpts.start_line` does not match the schema",
        ),
        ("It is a nice page.", "the reply is not JSON"),
        ('{"educational": true, ...}', "the reply is not JSON"),
    ],
)
def test_pages_without_excerpts_are_rejected(runner, answer: object, reason: str):
    with pytest.raises(UnusableReply) as caught:
        runner.run(Excerpts(teacher="author", inputs="web"), page("\n".join(LINES)), lambda task, draw: answer)
    assert caught.value.problem == reason


ANNOTATION = json.dumps({"educational": True, "excerpts": [excerpt(2, 3)]})


@pytest.mark.parametrize(
    "reply",
    [
        f"```json\n{ANNOTATION}\n```",
        f"The page explains density {{see line 2}}, so it is educational.\n\n{ANNOTATION}\n",
        f'## Result\n{{"educational": false, "excerpts": []}} would be wrong, since lines 2 and 3 give reasons.\n{ANNOTATION}',
    ],
    ids=["code fence", "preamble with braces", "second thoughts"],
)
def test_annotations_are_read_in_the_styles_of_real_models(runner, reply: str):
    (row,) = runner.run(Excerpts(teacher="author", inputs="web", min_words=3), page("\n".join(LINES)), lambda task, draw: reply)
    assert row["text"] == "\n".join(LINES[1:3]) + "\n"
