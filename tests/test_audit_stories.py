"""The audit of stories finds planted faults."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textbookgen_procedural")
pytest.importorskip("textbookgen_tinystories")
FILE = Path(__file__).parents[1] / "benchmarks" / "audit_stories.py"
SPEC = spec_from_file_location("audit_stories", FILE)
assert SPEC and SPEC.loader
AUDIT = module_from_spec(SPEC)
sys.modules["audit_stories"] = AUDIT
SPEC.loader.exec_module(AUDIT)

STORY = (
    'Lily ran to the red boat. "Come in!" said her mother. They sailed over the lake. Lily was happy, and her mother laughed.\n'
)


def row(text: str = STORY, words: tuple[str, ...] = ("run", "boat", "red"), features: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"text": text, "tinystories.words": list(words), "tinystories.features": list(features)}


def test_a_sound_story_has_no_fault():
    audit = AUDIT.audit_stories([row(features=("Dialogue", "HappyEnding"))])
    assert audit.facts_true == 1
    assert not audit.untrue
    assert not audit.repeated
    assert audit.duplicates == 0
    assert not audit.lints


@pytest.mark.parametrize(
    ("planted", "untrue"),
    [
        (row(words=("run", "boat", "green")), ["word green"]),
        (row(features=("BadEnding",)), ["feature BadEnding"]),
        (row(features=("MoralValue", "Twist")), ["feature MoralValue", "feature Twist"]),
        (row(text=STORY.replace('"', ""), features=("Dialogue",)), ["feature Dialogue"]),
    ],
)
def test_what_is_stated_and_not_in_the_text_is_found(planted: dict[str, Any], untrue: list[str]):
    audit = AUDIT.audit_stories([planted])
    assert audit.untrue == untrue
    assert audit.facts_true < 1


def test_repeats_and_duplicates_are_found():
    audit = AUDIT.audit_stories([row(text=f"{STORY}They sailed over the lake."), row(), row(), row()])
    assert audit.repeated == ["They sailed over the lake."]
    assert audit.duplicates == 2
    assert audit.opening_share == 1


@pytest.mark.parametrize("fault", ["They was happy.", "He saw a apple tree.", "He went to the the park.", "She go home."])
def test_faults_of_grammar_are_found(fault: str):
    pytest.importorskip("harper")
    assert AUDIT.audit_stories([row(text=STORY + fault)]).lints.total() == 1


def test_names_are_not_misspelled_words():
    pytest.importorskip("harper")
    assert not AUDIT.audit_stories([row(text=STORY.replace("Lily", "Tiki"))]).lints
    assert AUDIT.audit_stories([row(text=STORY.replace("boat", "boaat"))]).lints.total() == 1


def test_stories_of_the_embedded_teacher_have_what_they_state():
    audit = AUDIT.audit_stories(AUDIT.write_stories(100, 5))
    assert audit.facts_true >= 0.98
    assert len(audit.repeated) <= 2
    assert audit.duplicates == 0
    assert audit.opening_share <= 0.05
    assert audit.lints.total() <= 15
