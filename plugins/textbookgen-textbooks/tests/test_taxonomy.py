"""The taxonomy: a tree of topics, without duplicates and without branches that failed."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.taxonomy import Taxonomy

from textbookgen.api.errors import RequestRefused, UnusableReply


def tree(task: str, draw: dict) -> dict:
    assert task == "taxonomy"
    return {"names": [f"{draw['level']} {n} of {list(draw['path'].values())[-1]}" for n in range(draw["count"])]}


def test_a_discipline_gives_its_whole_tree(runner):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=2, sessions=3, concepts=2)
    rows = runner.run(stage, {"discipline": "geology"}, tree)
    assert len(rows) == 2 * 3 * 2
    assert len({row["text"] for row in rows}) == 12
    assert rows[0] == {
        "text": "/".join(
            [
                "geology",
                "subject 0 of geology",
                "session 0 of subject 0 of geology",
                "concept 0 of session 0 of subject 0 of geology",
            ]
        ),
        "textbooks.discipline": "geology",
        "textbooks.subject": "subject 0 of geology",
        "textbooks.session": "session 0 of subject 0 of geology",
        "textbooks.topic": "concept 0 of session 0 of subject 0 of geology",
    }
    assert len(runner.teacher.requests) == 1 + 2 + 6
    assert "- subject: subject 1 of geology" in runner.teacher.requests[-1][1]


def test_duplicates_slashes_and_surplus_names_are_removed(runner):
    def answer(task: str, draw: dict) -> dict:
        return {"names": ["Waves", " waves ", "Input/output", "", "Light", "Heat"]}

    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=1, sessions=1, concepts=3)
    rows = runner.run(stage, {"discipline": "physics"}, answer)
    assert [row["textbooks.topic"] for row in rows] == ["Waves", "Input or output", "Light"]


def test_requests_name_the_other_branches_of_their_level(runner):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=2, sessions=2, concepts=1)
    runner.run(stage, {"discipline": "geology"}, tree)
    first, *others = runner.teacher.requests
    assert "other branches" not in first.prompt
    for request in others:
        *_, here = request.draw["path"].values()
        (other,) = request.draw["siblings"]
        assert f"- {other}\n" in request.prompt and other != here


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1. Waves", "Waves"),
        ("- **Waves**", "Waves"),
        ("Session 3: Waves", "Waves"),
        ("2.1 Waves.", "Waves"),
        ("“Waves”", "Waves"),
        ("3D printing", "3D printing"),
        ("Lecture halls", "Lecture halls"),
    ],
)
def test_numbering_and_formatting_of_names_are_removed(runner, written: str, read: str):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=1, sessions=1, concepts=1)
    (row,) = runner.run(stage, {"discipline": "physics"}, lambda task, draw: {"names": [written]})
    assert row["textbooks.topic"] == read


def test_a_failing_branch_is_left_out_and_the_others_are_kept(runner):
    def answer(task: str, draw: dict) -> dict | str:
        if draw["path"].get("subject") == "subject 0 of law":
            raise RequestRefused("no")
        if draw["path"].get("session") == "session 1 of subject 1 of law":
            return "I would rather not."
        return tree(task, draw)

    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=2, sessions=2, concepts=2)
    rows = runner.run(stage, {"discipline": "law"}, answer)
    assert {row["textbooks.session"] for row in rows} == {"session 0 of subject 1 of law"}
    assert len(rows) == 2


def test_a_tree_without_concepts_is_rejected(runner):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1)
    with pytest.raises(UnusableReply, match="has no concepts"):
        runner.run(stage, {"discipline": "law"}, lambda task, draw: {"names": []})
    with pytest.raises(UnusableReply, match="not JSON"):
        runner.run(stage, {"discipline": "law"}, lambda task, draw: "No.")


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n{"names": ["Waves", "Light"]}\n```',
        'Here are the {level}s you asked for:\n\n{"names": ["Waves", "Light"]}\n\nLet me know!',
        '**Answer**\n{"names": ["Waves", "Light"], "count": 2}',
    ],
    ids=["code fence", "preamble", "heading and extra field"],
)
def test_lists_are_read_in_the_styles_of_real_models(runner, reply: str):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=1, sessions=1, concepts=2)
    rows = runner.run(stage, {"discipline": "physics"}, lambda task, draw: reply)
    assert [row["textbooks.topic"] for row in rows] == ["Waves", "Light"]
