"""The audit of requests finds planted faults."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).parents[1] / "benchmarks")
sys.path.insert(0, FOLDER)
AUDIT = import_module("audit_api")
sys.path.remove(FOLDER)


def row(request: str, call: str, case: str = "call", values: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"api.request": request, "api.call": call, "api.case": case, "api.values": list(values)}


DIM = "set_light(room='hall', brightness=40)"
PLAN = "a = find_ingredients(dish='soup'); send_message(person='Anna', text=a)"
#: A sound request, and calls for it that have one fault.
PLANTED: list[tuple[str, str, str, list[str]]] = [
    (
        "dim the hall to forty percent",
        DIM,
        "call",
        [
            DIM.replace("40", "41"),
            DIM.replace("hall", "attic"),
            DIM.replace("hall", "ha"),
            "set_light(room='hall'",
            "set_light('hall')[0]",
            "decline()",
            "clarify(missing=['room'])",
        ],
    ),
    ("wake me at 7 pm on Friday", "set_alarm(hour=19, day='friday')", "call", ["set_alarm(hour=7, day='friday')", "set_alarm(hour=19, day='monday')"]),
    ("timer, an hour and a half", "set_timer(minutes=90)", "call", ["set_timer(minutes=60, label='timer egg')", "set_timer(minutes=30)"]),
    ("add 6 eggs to the list", "add_item(item='eggs', quantity=6)", "call", ["add_item(item='eggs')", "add_item(item='eggs', quantity=7)"]),
    ("play Bach on shuffle", "play_music(artist='Bach', shuffle=True)", "call", ["play_music(artist='Bach', shuffle=False)", "play_music(artist='bach', shuffle=True)"]),
    ("text Anna what soup needs", PLAN, "plan", [PLAN.replace("text=a", "text='a'"), PLAN.replace("text=a", "text=b"), "find_ingredients(dish='soup')"]),
    (
        "play Bach and tell Anna that I am late",
        "play_music(artist='Bach'); send_message(person='Anna', text='I am late')",
        "plan",
        [
            "send_message(person='Anna', text='I am late'); play_music(artist='Bach')",
            "a = play_music(artist='Bach'); send_message(person='Anna', text=a)",
            "a = read_list(); play_music(artist='Bach'); send_message(person='Anna', text='I am late')",
        ],
    ),
    ("set the light to 40%", "clarify(missing=['room'])", "missing", ["clarify(missing=['brightness'])", "clarify(missing=[])", "clarify(missing=['colour'])"]),
    ("dim the light in the hall", "clarify(missing=['brightness'])", "missing", ["clarify(missing=['room'])"]),
    ("remind me of the tea in 5 minutes", "set_timer(minutes=5, label='tea')", "call", ["set_timer(minutes=5, label='tee')"]),
    ("Set a timer", "clarify(missing=['minutes'])", "missing", ["clarify(missing=['person'], x=1); decline()"]),
    ("what is the capital of Peru", "decline()", "outside", ["clarify(missing=['room'])", "read_list()"]),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "call", "case", "faulty"), PLANTED, ids=[item[0] for item in PLANTED])
def test_planted_faults_are_found_and_sound_calls_are_not(request_: str, call: str, case: str, faulty: list[str]):
    assert AUDIT.wrong_facts(row(request_, call, case)) == []
    for wrong in faulty:
        assert AUDIT.wrong_facts(row(request_, wrong, case)), wrong


def test_a_case_that_does_not_fit_is_found():
    for case in ("plan", "missing", "outside"):
        assert AUDIT.wrong_facts(row("dim the hall to 40%", DIM, case))


@pytest.mark.parametrize(
    ("text", "glitch"),
    [
        ("Set the the light.", "a word twice"),
        ("Could we get ?", "a blank before punctuation"),
        ("Set it, . please", "a blank before punctuation"),
        ("Set it,, please", "doubled punctuation"),
        ("Set a alarm", "a wrong article"),
        ("Put {item} on it", "a template left over"),
        ("Add it (to|on) the list", "a template left over"),
        ("May i have light.", "a lower-case I between capitals"),
    ],
)
def test_slips_of_grammar_are_found(text: str, glitch: str):
    assert AUDIT.glitches(text) == [glitch]


def test_values_may_be_written_in_any_way():
    assert AUDIT.glitches('Tell Anna "go go go" now.', ["Anna", "go go go"]) == []
    assert AUDIT.glitches("Tell Anna it now.", ["Anna"]) == []


def test_numbers_are_known_in_words():
    assert "twenty-one" in AUDIT.number_words(21) and "forty" in AUDIT.number_words(40)
    assert "7 pm" in AUDIT.hour_words(19) and "7 am" not in AUDIT.hour_words(19)
    assert "noon" in AUDIT.hour_words(12) and "half an hour" in AUDIT.minutes_words(30)


def test_the_figures_count_documents_with_faults():
    audit = AUDIT.audit_rows([row("dim the hall to 40%", DIM), row("dim the the hall to 40%", DIM.replace("40", "30"))])
    assert audit.share("answer") == audit.share("fact") == 0.5
    assert [example for check in audit.checks.values() for example in check.examples] == [
        "set_light: brightness=30 is not in the request, 40 is in no argument: "
        "'dim the the hall to 40%' -> set_light(room='hall', brightness=30)",
        "a word twice: 'dim the the hall to 40%' -> set_light(room='hall', brightness=30)",
    ]


def test_the_shipped_application_has_hardly_any_fault():
    pytest.importorskip("textbookgen_api")
    (audit,) = AUDIT.audit(400, seed=11)
    assert audit.documents == 400
    assert audit.share("answer") >= 0.99 and audit.share("fact") >= 0.99
    assert float(audit.notes[0].rpartition(" ")[2]) > 0.9
