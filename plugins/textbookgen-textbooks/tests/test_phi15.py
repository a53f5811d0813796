"""The taxonomy and the sections: what grows, what is left out, what the teacher is shown."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.everyday import Everyday
from textbookgen_textbooks.section import Section, window
from textbookgen_textbooks.taxonomy import Taxonomy
from textbookgen_textbooks.wordlists import topics

from textbookgen.api.errors import RequestRefused, UnusableReply
from textbookgen.api.sampler import AcceptedStats

LONG = "Rain falls because drops grow too heavy for the air. " * 20


def tree(task: str, draw: dict) -> dict:
    assert task == "taxonomy"
    return {"names": [f"{draw['level']} {n} of {list(draw['path'].values())[-1]}" for n in range(draw["count"])]}


def test_a_discipline_grows_its_whole_tree(room):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=2, sessions=3, concepts=2)
    rows = room.write(stage, {"discipline": "geology"}, tree)
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
    assert len(room.script.asked) == 1 + 2 + 6
    assert "- subject: subject 1 of geology" in room.script.asked[-1][1]


def test_repeats_slashes_and_surplus_are_tidied(room):
    def answer(task: str, draw: dict) -> dict:
        return {"names": ["Waves", " waves ", "Input/output", "", "Light", "Heat"]}

    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=1, sessions=1, concepts=3)
    rows = room.write(stage, {"discipline": "physics"}, answer)
    assert [row["textbooks.topic"] for row in rows] == ["Waves", "Input or output", "Light"]


def test_a_branch_that_fails_is_left_out_and_the_others_stand(room):
    def answer(task: str, draw: dict) -> dict | str:
        if draw["path"].get("subject") == "subject 0 of law":
            raise RequestRefused("no")
        if draw["path"].get("session") == "session 1 of subject 1 of law":
            return "I would rather not."
        return tree(task, draw)

    stage = Taxonomy(teacher="author", sampler="disciplines", count=1, subjects=2, sessions=2, concepts=2)
    rows = room.write(stage, {"discipline": "law"}, answer)
    assert {row["textbooks.session"] for row in rows} == {"session 0 of subject 1 of law"}
    assert len(rows) == 2


def test_a_tree_that_does_not_grow_is_refused(room):
    stage = Taxonomy(teacher="author", sampler="disciplines", count=1)
    with pytest.raises(UnusableReply, match="grew no concepts"):
        room.write(stage, {"discipline": "law"}, lambda task, draw: {"names": []})
    with pytest.raises(UnusableReply, match="not JSON"):
        room.write(stage, {"discipline": "law"}, lambda task, draw: "No.")


def test_sections_are_told_domain_reader_and_persona(room):
    draw = Everyday(persona_share=1).draw(0, Random(1), AcceptedStats())
    (row,) = room.write(Section(teacher="author", sampler="everyday", count=1), draw, lambda task, draw: LONG)
    assert row == {"text": LONG.strip() + "\n", **{f"textbooks.{name}": draw[name] for name in ("topic", "domain", "audience")}}
    ((task, prompt, _),) = room.script.asked
    assert task == "section"
    assert all(draw[name] in prompt for name in ("topic", "domain", "audience", "content", "persona"))
    assert "<<<" not in prompt


def test_a_passage_varies_the_angle(room):
    passage = " ".join(f"word{n}" for n in range(2_000))
    draw = {**Everyday().draw(0, Random(1), AcceptedStats()), "document": {"id": "a", "text": passage}}
    room.write(Section(teacher="author", sampler="everyday", inputs="web", passage_length=200), draw, lambda task, draw: LONG)
    ((_, prompt, asked),) = room.script.asked
    assert asked["passage"] in passage
    assert 100 < len(asked["passage"]) <= 200
    assert f"<<<\n{asked['passage']}\n>>>" in prompt
    assert draw["topic"] in prompt


def test_a_document_may_be_the_topic(room):
    draw = {"document": {"id": "a", "text": "law/contracts/offer", "textbooks.topic": "offer"}}
    (row,) = room.write(Section(teacher="author", inputs="tree", documents_are="topic"), draw, lambda task, draw: LONG)
    assert row["textbooks.topic"] == "offer"
    assert row["textbooks.audience"] is None


def test_short_sections_are_refused(room):
    with pytest.raises(UnusableReply, match="too short"):
        room.write(Section(teacher="author", count=1), {"topic": "rain"}, lambda task, draw: "It rains.")


def test_windows_start_at_words_belong_to_the_document_and_differ():
    text = " ".join(f"word{n}" for n in range(1_000))
    windows = [window(text, 100, {"document": {"id": str(n)}}) for n in range(50)]
    assert len(set(windows)) > 40
    assert all(each.startswith("word") and each in text and len(each) <= 100 for each in windows)
    assert windows[3] == window(text, 100, {"document": {"id": "3", "step": "elsewhere"}})
    assert window(" short ", 100, {}) == "short"
    assert window("x" * 300, 100, {}) == "x" * 100


def test_everyday_covers_its_domains_and_takes_yours():
    drawn = [Everyday().draw(n, Random(n), AcceptedStats()) for n in range(2_000)]
    assert {each["domain"] for each in drawn} == set(topics("everyday"))
    assert all(each["topic"] in topics("everyday")[each["domain"]] for each in drawn)
    assert {each["topic"] for each in drawn} == {topic for known in topics("everyday").values() for topic in known}
    assert 0.45 < sum(each["persona"] is None for each in drawn) / 2_000 < 0.55
    only = Everyday(domains=("science",)).draw(0, Random(0), AcceptedStats())
    assert only["topic"] in topics("everyday")["science"]
    own = Everyday(domains=("cooking",), topics=("soup",)).draw(0, Random(0), AcceptedStats())
    assert (own["domain"], own["topic"]) == ("cooking", "soup")
    with pytest.raises(ValidationError, match="cooking"):
        Everyday(domains=("cooking",))
