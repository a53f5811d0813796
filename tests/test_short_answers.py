"""Questions with short answers: files of several forms, and answers graded without a judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.evaluation.short_answer_grades import grade_short_answer


@pytest.mark.parametrize(
    ("reply", "answer", "label"),
    [
        ("Paris", "Paris", "correct"),
        ("The capital is **Paris**.", "paris", "correct"),
        ("I'm not sure, but I think it was Paris.", "Paris", "correct"),
        ("The Beatles", "Beatles", "correct"),
        ("It was Jos\u00e9 Mart\u00ed.", "Jose Marti", "correct"),
        ("He was born in the U.S.A.", "USA", "correct"),
        ("It had 1,018 seats.", "1018", "correct"),
        ("Lyon", "Paris", "wrong"),
        ("I'm not sure, but I think it was Lyon.", "Paris", "wrong"),
        ("I can't recall the exact name. It might be Smith.", "Jones", "wrong"),
        ("An unknown soldier named Bob", "Rob", "wrong"),
        ("123", "23", "wrong"),
        ("It's 35", "3.5", "wrong"),
        ("", "Paris", "abstained"),
        ("I don\u2019t know.", "Paris", "abstained"),
        ("Unknown", "Paris", "abstained"),
        ("I'm sorry, but I don't have information about that.", "Paris", "abstained"),
        ("As an AI, I do not have access to real-time data, so I cannot answer.", "Paris", "abstained"),
        ("I'm not familiar with that event. However, I can help with others.", "Paris", "abstained"),
        ("There is no reliable information about who won.", "Paris", "abstained"),
    ],
)
def test_correct_abstained_or_wrong(reply: str, answer: str, label: str) -> None:
    assert grade_short_answer(reply, [answer]) == label


def test_other_right_answers_count() -> None:
    assert grade_short_answer("Samuel Clemens wrote it", ["Mark Twain", "Samuel Clemens"]) == "correct"


FILES = {
    "simpleqa.csv": 'metadata,problem,answer\n"{}","Who, then?",Ada\n"{}",How many?,12\n',
    "plain.jsonl": '{"question": "Who, then?", "answer": "Ada"}\n{"question": "How many?", "answer": "12"}\n',
    "trivia.jsonl": json.dumps({"question": "Who, then?", "answer": {"value": "Ada", "aliases": ["Ada", "A. L."]}})
    + "\n"
    + json.dumps({"question": "How many?", "answer": {"value": "12", "aliases": ["twelve"]}}),
    "pop.jsonl": '{"question": "Who, then?", "possible_answers": ["Ada", "A. L."]}\n{"question": "How many?", "possible_answers": ["12"]}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_several_forms(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    items = list(open_benchmark(f"simpleqa@{tmp_path / name}").items())
    assert [(item.question, item.solution) for item in items] == [("Who, then?", "Ada"), ("How many?", "12")]
    assert items[0].prompt == "Question: Who, then?\nAnswer:"
    assert items[0].aliases == (("A. L.",) if name in ("trivia.jsonl", "pop.jsonl") else ())


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "Who?"}\n', encoding="utf-8")
    with pytest.raises(RunError, match="without answer, answers or possible_answers"):
        list(open_benchmark(f"simpleqa@{tmp_path / 'q.jsonl'}").items())
