"""The audit of stories finds planted faults."""

from __future__ import annotations

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textbookgen_procedural")
pytest.importorskip("textbookgen_tinystories")
FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_stories")
sys.path.remove(FOLDER)

SENSE = {*AUDIT._FAULTS, "only those come by who belong there"}
STORY = (
    'Lily ran to the red boat. "Come in!" said her mother. They sailed over the lake. Lily was happy, and her mother laughed.\n'
)


def row(
    text: str = STORY, words: tuple[str, ...] = ("run", "boat", "red"), features: tuple[str, ...] = (), summary: str = ""
) -> dict[str, Any]:
    columns = {"words": list(words), "features": list(features), "summary": summary}
    return {"text": text} | {f"tinystories.{name}": value for name, value in columns.items()}


def failed(*rows: dict[str, Any]) -> list[str]:
    return [check.name for check in AUDIT.check_stories(rows).checks.values() if check.false]


def test_a_sound_story_has_no_fault():
    sound = row(features=("Dialogue", "HappyEnding"), summary="Lily runs to a boat. She and her mother sail.")
    audit = AUDIT.check_stories([sound])
    assert audit.share("fact") == 1 and audit.counts("fact")[1] == 7 and not failed(sound)


@pytest.mark.parametrize(
    ("planted", "check"),
    [
        (row(words=("run", "boat", "green")), "it has the required word"),
        (row(features=("BadEnding",)), "it shows BadEnding"),
        (row(features=("BadEnding",)), "it has no other ending"),
        (row(features=("HappyEnding",), text=STORY.replace("happy, and her mother laughed", "sad")), "it shows HappyEnding"),
        (row(features=("MoralValue",)), "it shows MoralValue"),
        (row(features=("Twist",)), "it shows Twist"),
        (row(features=("Conflict",)), "it shows Conflict"),
        (row(features=("Foreshadowing",)), "it shows Foreshadowing"),
        (row(text=STORY.replace('"', ""), features=("Dialogue",)), "it shows Dialogue"),
        (row(summary="Tom runs to a boat. He sails."), "the summary is of this story"),
        (row(summary="Lily runs with Tom. They sail."), "the summary is of this story"),
        (row(summary="Lily runs."), "the summary has two sentences"),
        (row(text=f"{STORY}They sailed over the lake."), "no sentence comes twice"),
    ],
)
def test_planted_faults_are_found(planted: dict[str, Any], check: str):
    assert check in failed(planted)


@pytest.mark.parametrize(
    ("planted", "check"),
    [
        ("One sunny afternoon, Tom ate his breakfast very fast.", "the time of day does not change at once"),
        ("One warm night, Tom could not wait to get up.", "the time of day does not change at once"),
        ("It was one Saturday. Tom was at school.", "the opening is a sentence of English"),
        ("Now the scissors was gone.", "plural nouns have plural verbs"),
        ("Tom found a jeans.", "plural nouns have plural verbs"),
        ("It was hard to find the ball, but they wanted to try.", "what might be has no tense of facts"),
        ('"I think I have a new idea how we can find it," said Tom.', "an idea is not good before it is known"),
        ("Tom was pale at the thought that they would never find it.", "feelings have no reason that does not fit"),
        ("Tom felt hollow inside, because the ball was gone.", "feelings have no reason that does not fit"),
        ('"Then we can flap their arms like birds," said Tom.', "pronouns fit the speaker"),
        ("An hour went by. Tom waited. An hour passed.", "an hour does not pass twice"),
        (
            "Tom had a guest. His friend Ann had come to play, and soon they were at school.",
            "one takes a guest to a place to play",
        ),
        (
            "Ann was waiting for Tom by the pond. Before they left home, Ann had put a rope into her bag.",
            "those who met did not leave home together",
        ),
        ('"This is a creamy problem," said Tom.', "problems are of a size"),
        ('"There are big stones in the water," said the man. But there was no way across.', "advice is true"),
        ('"It will bring us luck," she said. "Then we can find it."', "luck is for something with a name"),
        ("They went home hungry. Nobody wanted to eat strawberries any more.", "no plan is for what is gone"),
        ('They were in the kitchen. Then a farmer came by. "Hello," said the farmer.', "only those come by who belong there"),
        (
            'They were at the beach. Then the light went out. They asked a kind baker. "No," he said.',
            "only those come by who belong there",
        ),
    ],
)
def test_planted_faults_of_sense_are_found(planted: str, check: str):
    assert check in failed(row(text=f"{planted} {STORY}"))


def test_who_belongs_to_a_place_is_no_stranger():
    at_home = 'One day, Tom was in the kitchen. Then the neighbor came by. "Look," said the neighbor.'
    told = "One day, Tom was in the kitchen. Ann told Tom a story about an old owl who could not see."
    assert not failed(row(text=at_home, words=())) and not failed(row(text=told, words=()))


def test_duplicates_are_found():
    audit = AUDIT.check_stories([row(), row(), row()])
    assert audit.checks["no other story is the same"].false == 2
    assert "100.0%" in audit.notes[0]


@pytest.mark.parametrize("fault", ["They was happy.", "He saw a apple tree.", "He went to the the park.", "She go home."])
def test_faults_of_grammar_are_found(fault: str):
    pytest.importorskip("harper")
    assert "the grammar checker has no hint" in failed(row(text=STORY + fault))


def test_names_are_not_misspelled_words():
    pytest.importorskip("harper")
    assert not failed(row(text=STORY.replace("Lily", "Tiki")))
    assert "the grammar checker has no hint" in failed(row(text=STORY.replace("boat", "boaat"), words=()))


def test_without_the_grammar_checker_a_note_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "harper", None)
    audit = AUDIT.check_stories([row()])
    assert "the grammar checker has no hint" not in audit.checks
    assert any("harper-py" in note for note in audit.notes)


def test_stories_of_the_embedded_teacher_have_what_they_state():
    rows = AUDIT.write_stories(100, 5)
    audit = AUDIT.check_stories(rows)
    assert audit.share("fact") >= 0.995
    assert audit.checks["no sentence comes twice"].share >= 0.97
    assert audit.checks["no other story is the same"].false == 0
    assert not {name: check.examples[:1] for name, check in audit.checks.items() if name in SENSE and check.false}
    openings = Counter(" ".join(row["text"].split()[:4]) for row in rows)
    assert max(openings.values()) <= 10
