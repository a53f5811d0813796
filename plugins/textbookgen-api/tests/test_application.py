"""The description of an application: templates, values and the problems of a file."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from textbookgen_api.application import Parameter, read_application
from textbookgen_api.request_templates import Phrase, parse_template
from textbookgen_api.requests import Requests

from textbookgen.api.errors import RecipeError, RunError


def test_templates_are_split_into_phrases():
    assert parse_template("Ship {n} {p}[ to {city}].") == (
        Phrase("Ship {n} {p}", False),
        Phrase(" to {city}", True),
        Phrase(".", False),
    )
    assert parse_template("Ship {n} {p}[ to {city}].")[0].slots == ("n", "p")
    assert Phrase("Ship {n} {p}", False).fill({"n": "3", "p": "{odd}"}) == "Ship 3 {odd}"


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
    assert Parameter("x", {}, True).words(["a", "b", "c"]) == "a, b and c"
    assert Parameter("x", {"x-words": {"5": "five", "true": "yes"}}, True).words(5) == "five"


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
    assert next(iter(shares.check())).problem == "`missing_share` and `outside_share` add up to more than 1"
