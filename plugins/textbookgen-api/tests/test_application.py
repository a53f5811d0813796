"""The description of an application: templates, values and the problems of a file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from textbookgen_api.application import describe_function
from textbookgen_api.application_file import read_application
from textbookgen_api.parameters import Parameter, in_split, is_unseen
from textbookgen_api.request_templates import Phrase, choose_words, every_wording, fill, parse_template
from textbookgen_api.requests import Requests

from textbookgen.api.errors import RecipeError, RunError


def test_templates_are_split_into_phrases():
    assert parse_template("Ship {n} {p}[ to {city}].") == (
        Phrase("Ship {n} {p}", False),
        Phrase(" to {city}", True),
        Phrase(".", False),
    )
    assert parse_template("Ship {n} {p}[ to {city}].")[0].slots == ("n", "p")
    assert parse_template("to {city#}")[0].slots == ("city",)
    assert fill("Ship {n} {p}, {n#}", {"n": ("3 of", "3"), "p": ("{odd}", "x")}) == "Ship 3 of {odd}, 3"


def test_words_are_chosen_among_wordings_and_lists():
    words = {"send": ("send", "(ship|mail)"), "deep": ("<send> now",)}
    wordings = {choose_words("<send> it (by air|by (sea|rail))[ now] (really)", words, Random(n)) for n in range(200)}
    assert wordings == {
        f"{verb} it by {way}[ now] (really)" for verb in ("send", "ship", "mail") for way in ("air", "sea", "rail")
    }
    assert choose_words("<deep>", words, Random(0)).endswith(" now")
    with pytest.raises(ValueError, match="does not exist: verb"):
        choose_words("<verb> it", words, Random(0))
    seen = " / ".join(every_wording("<send> it (by air|by (sea|rail))", words))
    assert all(each in seen for each in ("send", "ship", "mail", "air", "sea", "rail"))
    with pytest.raises(ValueError, match="name each other"):
        list(every_wording("<a>", {"a": ("<b>",), "b": ("<a>",)}))


@pytest.mark.parametrize("template", ["a [b", "a b]", "[a [b] c]", "a {b c}", "a {b", "a }"])
def test_malformed_templates_are_rejected(template: str):
    with pytest.raises(ValueError, match=r"unbalanced|not a name"):
        parse_template(template)


def test_values_follow_their_schema(ship: dict):
    def values(schema: dict) -> set:
        return {json.dumps(Parameter("x", schema, True).draw(Random(n))) for n in range(300)}

    assert values(ship["parameters"]["properties"]["quantity"]) == {str(n) for n in range(10, 51, 5)}
    assert values({"type": "integer", "minimum": 7, "maximum": 12, "multipleOf": 5}) == {"10"}
    assert values({"type": "boolean"}) == {"true", "false"}
    assert values({"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2}) == {"[1]", "[2]", "[1, 2]", "[2, 1]"}
    assert all(0 <= json.loads(value) <= 1 for value in values({"type": "number", "maximum": 1}))
    assert all(len(json.loads(value)) == 10 for value in values({"type": "string", "format": "date"}))
    with pytest.raises(RunError, match="parameter `x` does not determine"):
        Parameter("x", {"type": "string"}, True).draw(Random(0))
    assert Parameter("x", {}, True).words(["a", "b", "c"], Random(0)) == ("a, b and c", "a, b and c")
    five = Parameter("x", {"x-words": {"5": "five", "true": ["yes", "yep"]}, "x-forms": ["{} kg", "{}kg"]}, True)
    assert five.words(5, Random(0)) == ("five", "5")
    assert five.wordings(True) == ("yes", "yep")
    assert five.wordings(6) == ("6 kg", "6kg")


def test_values_are_invented_from_lists_of_words():
    schema = {
        "type": "string",
        "examples": ["(Old|New|East|West|North|South|Long|Lake|Sea|Moon|Oak|Elm|Fox|Wolf) Town"],
        "x-invented": ["<part><part>ville"],
    }
    parameter = Parameter("city", schema, True, {"part": ("ba", "co", "du")})
    values = Counter(parameter.draw(Random(n)) for n in range(400))
    assert {"Old Town", "New Town", "bacoville"} <= values.keys()
    assert 140 < sum(count for value, count in values.items() if value.endswith("Town")) < 260
    unseen = {parameter.draw(Random(n), "unseen") for n in range(100)}
    assert unseen and all(value.endswith(" Town") for value in unseen)
    assert all(is_unseen("city", value) for value in unseen)


def test_values_with_words_of_their_own_are_in_both_splits():
    minutes = Parameter("minutes", {"type": "integer", "maximum": 60, "x-words": {"30": "half an hour", "12": "a dozen"}}, True)
    drawn = {split: {minutes.draw(Random(n), split) for n in range(2_000)} for split in ("seen", "unseen")}
    assert drawn["seen"] & drawn["unseen"] == {12, 30}
    assert all(is_unseen("minutes", value) for value in drawn["unseen"] - {12, 30})
    assert drawn["seen"] | drawn["unseen"] == set(range(1, 61))


def test_splits_are_disjoint_and_depend_on_names_only():
    texts = [f"text {n}" for n in range(500)]
    unseen = [text for text in texts if in_split("f", text, "unseen")]
    assert [text for text in texts if in_split("f", text, "seen")] == [text for text in texts if text not in unseen]
    assert 60 < len(unseen) < 140
    assert unseen != [text for text in texts if in_split("g", text, "unseen")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "not a name"}, "is not a valid function name"),
        ({"name": "decline"}, "is reserved"),
        ({"templates": []}, "has no templates"),
        ({"templates": ["Ship {quantity} {product} to {city} for {whom}"]}, "not a parameter: whom"),
        ({"templates": ["Ship {quantity} {product}"]}, "lacks the required parameter city"),
        ({"templates": ["Ship [{quantity}"]}, "unbalanced brackets"),
    ],
)
def test_problems_of_a_file_are_reported(ship: dict, tmp_path: Path, change: dict, problem: str):
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"functions": [{**ship, **change}]}), encoding="utf-8")
    (diagnostic,) = Requests(path=str(path), count=1, missing_share=0).check()
    assert problem in diagnostic.problem


def test_files_that_cannot_be_used(stock: dict, tmp_path: Path):
    path = tmp_path / "f.json"
    for text, problem in ((None, "cannot read"), ("{", "is not JSON"), ("[]", "has no functions")):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError, match=problem):
            read_application(path)
    path.write_text(json.dumps([{**stock, "templates": ["{products}"]}]), encoding="utf-8")
    assert [diagnostic.place for diagnostic in Requests(path=str(path), count=1).check()] == ["missing_share"]
    shares = Requests(path=str(path), count=1, missing_share=0.5, outside_share=0.6)
    assert next(iter(shares.check())).problem == ("`missing_share`, `outside_share` and `sequence_share` add up to more than 1")


def test_tasks_have_calls_with_slots_constants_and_results(ship: dict, stock: dict, tmp_path: Path):
    path = tmp_path / "f.json"
    stock = {**stock, "returns": "the numbers"}
    tasks = [
        {"calls": "a = stock(products=what); ship(product=a, quantity=10, city=city)", "templates": ["All {what} to {city}."]}
    ]
    path.write_text(json.dumps({"description": "A shop.", "functions": [ship, stock], "tasks": tasks}), encoding="utf-8")
    application = read_application(path)
    task = application.tasks[-1]
    assert task.name == "stock + ship"
    assert list(task.slots) == ["what", "city"]
    assert task.required == {"what", "city"}
    text = application.describe()
    assert text.startswith("A shop.\n- ship(product, quantity, city, express): Sends goods.\n")
    assert "    quantity: integer from 10 to 50; required" in text
    assert "    express: boolean; default False; optional" in text
    assert "one of 'Oslo', 'Lima'" in text and "date as YYYY-MM-DD" in text
    assert "Returns the numbers." in describe_function(application.functions[1])


@pytest.mark.parametrize(
    ("calls", "templates", "problem"),
    [
        ("ship(", ["{x}"], "not a call"),
        ("sell(x=1)", ["x"], "does not exist"),
        ("ship(weight=1)", ["x"], "does not exist"),
        ("stock(day=day)", ["on {day}"], "lacks the required parameter products of stock"),
        ("stock(products=x)", [], "has no templates"),
        ("stock(products=x)", ["{y}"], "not a parameter: y"),
        ("stock(products=x)", ["(all {x}|nothing)"], "lacks the required parameter x"),
        ("stock(products=x)", ["<verb> {x}"], "does not exist: verb"),
    ],
)
def test_problems_of_tasks_are_reported(stock: dict, ship: dict, tmp_path: Path, calls: str, templates: list, problem: str):
    path = tmp_path / "f.json"
    content = {"functions": [ship, stock], "tasks": [{"calls": calls, "templates": templates}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert any(problem in item.problem for item in Requests(path=str(path), count=1).check())


def test_absent_functions_need_a_name_and_templates(ship: dict, tmp_path: Path):
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"functions": [ship], "absent": [{"name": "sing", "templates": []}]}), encoding="utf-8")
    assert [item.problem for item in Requests(path=str(path), count=1).check()] == [
        "absent function 'sing' has no name or no templates"
    ]


def test_the_shipped_application_has_phrasings_of_every_voice_in_both_splits():
    application = read_application("household")
    assert len(application.functions) == 9
    for task in application.tasks:
        assert {item.voice for item in task.phrasings} >= {"order", "wish", "terse", "shorthand", "goal", "question"}
        assert task.phrasings_in("unseen") and len(task.phrasings_in("seen")) > len(task.phrasings_in("unseen"))
    for function in application.functions:
        (own, *_) = [task for task in application.tasks if task.name == function.name]
        assert len(own.phrasings) >= 45
        assert len(own.phrasings_in("unseen")) >= 5
    assert len(application.absent) >= 35
