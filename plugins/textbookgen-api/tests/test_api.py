"""Requests, calls, paraphrases and scores, with an application whose truth is known."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl
import pytest
from textbookgen_api.calling import Call, call_or_none, read_call, same_call, same_result
from textbookgen_api.chats import RequestChats
from textbookgen_api.functions import Parameter, read_application
from textbookgen_api.paraphrase import Paraphrase, holds
from textbookgen_api.requests import Requests
from textbookgen_api.score import CallScores
from textbookgen_api.templates import Phrase, phrases

from textbookgen.api.artifacts import Chats, Checkpoint
from textbookgen.api.errors import RecipeError, RunError, UnusableReply
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts
from textbookgen.testing import write_documents

SHIP = {
    "name": "ship",
    "description": "Sends goods.",
    "parameters": {
        "type": "object",
        "properties": {
            "product": {"type": "string", "examples": ["bolts", "lamps"]},
            "quantity": {"type": "integer", "minimum": 10, "maximum": 50, "multipleOf": 5},
            "city": {"type": "string", "enum": ["Oslo", "Lima"]},
            "express": {"type": "boolean", "default": False, "x-words": {"true": "by express", "false": "by slow freight"}},
        },
        "required": ["product", "quantity", "city"],
    },
    "templates": ["Ship {quantity} {product}[ to {city}][, {express}].", "[In {city} ]they need {quantity} {product}."],
}
STOCK = {
    "name": "stock",
    "parameters": {
        "properties": {
            "products": {"type": "array", "items": {"enum": ["bolts", "lamps"]}},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["products"],
    },
    "templates": ["How many {products} were there[ on {day}]?"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "functions.json"
    path.write_text(json.dumps([{"type": "function", "function": SHIP}, STOCK]), encoding="utf-8")
    return path


def table(file: Path, **options: object) -> pl.DataFrame:
    source = Requests(path=str(file), **{"count": 600, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


# -- templates and values


def test_templates_come_apart():
    assert phrases("Ship {n} {p}[ to {city}].") == (
        Phrase("Ship {n} {p}", False),
        Phrase(" to {city}", True),
        Phrase(".", False),
    )
    assert phrases("Ship {n} {p}[ to {city}].")[0].slots == ("n", "p")
    assert Phrase("Ship {n} {p}", False).filled({"n": "3", "p": "{odd}"}) == "Ship 3 {odd}"


@pytest.mark.parametrize("template", ["a [b", "a b]", "[a [b] c]", "a {b c}", "a {b", "a }"])
def test_templates_that_do_not_match_are_refused(template: str):
    with pytest.raises(ValueError, match=r"match|no name"):
        phrases(template)


def test_values_keep_to_their_schema():
    def drawn(schema: dict) -> set:
        return {json.dumps(Parameter("x", schema, True).draw(Random(n))) for n in range(300)}

    assert drawn(SHIP["parameters"]["properties"]["quantity"]) == {str(n) for n in range(10, 51, 5)}
    assert drawn({"type": "integer", "minimum": 7, "maximum": 12, "multipleOf": 5}) == {"10"}
    assert drawn({"type": "boolean"}) == {"true", "false"}
    assert drawn({"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2}) == {"[1]", "[2]", "[1, 2]", "[2, 1]"}
    assert all(0 <= json.loads(each) <= 1 for each in drawn({"type": "number", "maximum": 1}))
    assert all(len(json.loads(each)) == 10 for each in drawn({"type": "string", "format": "date"}))
    with pytest.raises(RunError, match="what values `x` takes"):
        Parameter("x", {"type": "string"}, True).draw(Random(0))
    assert Parameter("x", {}, True).words(["a", "b", "c"]) == "a, b and c"
    assert Parameter("x", {"x-words": {"5": "five", "true": "yes"}}, True).words(5) == "five"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "not a name"}, "is no name"),
        ({"name": "decline"}, "is the name of an answer"),
        ({"templates": []}, "has no templates"),
        ({"templates": ["Ship {quantity} {product} to {city} for {whom}"]}, "no parameter: whom"),
        ({"templates": ["Ship {quantity} {product}"]}, "lacks the required city"),
        ({"templates": ["Ship [{quantity}"]}, "do not match"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, change: dict, problem: str):
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"functions": [{**SHIP, **change}]}), encoding="utf-8")
    (diagnostic,) = Requests(path=str(path), count=1, missing_share=0).check()
    assert problem in diagnostic.problem


def test_files_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "f.json"
    for text, problem in ((None, "cannot be read"), ("{", "is not JSON"), ("[]", "has no functions")):
        if text is not None:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError, match=problem):
            read_application(path)
    path.write_text(json.dumps([{**STOCK, "templates": ["{products}"]}]), encoding="utf-8")
    assert [diagnostic.place for diagnostic in Requests(path=str(path), count=1).check()] == ["missing_share"]
    shares = Requests(path=str(path), count=1, missing_share=0.5, outside_share=0.6)
    assert next(iter(shares.check())).problem == "the shares come to more than 1"


# -- requests


def test_every_call_follows_from_its_request(file: Path):
    rows = table(file, missing_share=0, outside_share=0)
    assert set(rows["api.function"]) == {"ship", "stock"}
    for row in rows.iter_rows(named=True):
        call = read_call(row["api.call"])
        assert call.function == row["api.function"]
        assert row["text"] == f"Request: {row['api.request']}\nCall: {row['api.call']}\n"
        assert all(words in row["api.request"] for words in row["api.slots"])
        assert len(row["api.slots"]) == len(call.arguments)
        for name, value in call.arguments.items():
            if name == "express":
                assert ("by express" if value else "by slow freight") in row["api.request"]
            else:
                assert all(str(each) in row["api.request"] for each in (value if isinstance(value, list) else [value]))
        if call.function == "ship":
            assert {"product", "quantity", "city"} <= call.arguments.keys()
            assert ("express" in call.arguments) == ("by " in row["api.request"])
            assert json.loads(row["api.defaults"]) == {"express": False}
    given = rows.filter(pl.col("api.request").str.starts_with("Ship"))["api.call"].str.contains("express").mean()
    assert 0.4 < given < 0.6


def test_requests_that_lack_something_are_answered_by_asking(file: Path):
    rows = table(file, missing_share=1, outside_share=0)
    assert set(rows["api.case"]) == {"missing"}
    assert set(rows["api.call"]) == {"clarify(missing=['city'])"}
    assert not rows["api.request"].str.contains("Oslo|Lima").any()
    assert set(rows["api.function"]) == {"ship"}


def test_requests_about_other_things_are_declined(file: Path, tmp_path: Path):
    rows = table(file, missing_share=0, outside_share=1)
    assert set(rows["api.call"]) == {"decline()"}
    assert rows["api.request"].n_unique() > 30
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"functions": [SHIP], "outside": ["Sing!"]}), encoding="utf-8")
    assert set(table(own, missing_share=0, outside_share=1)["api.request"]) == {"Sing!"}


def test_shares_seeds_and_counts(file: Path):
    rows = table(file, count=3_000)
    cases = Counter(rows["api.case"])
    assert 240 < cases["missing"] < 360
    assert 240 < cases["outside"] < 360
    assert rows["id"].n_unique() == 3_000
    assert rows[:100].equals(table(file, count=100))
    assert not set(rows["id"]) & set(table(file, count=100, seed=1)["id"])


def test_the_file_is_part_of_what_the_step_is(file: Path):
    before = Requests(path=str(file), count=1).digest()
    file.write_text(file.read_text(encoding="utf-8").replace("Oslo", "Rome"), encoding="utf-8")
    assert Requests(path=str(file), count=1).digest() != before


# -- calls


def test_calls_are_read_as_written():
    call = Call("ship", {"city": "O'Slo", "n": -3, "x": 1.5, "many": ["a", {"b": None}], "yes": True})
    assert read_call(str(call)) == call


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ship",
        "ship(3)",
        "ship(n=m)",
        "ship(n=f())",
        "a.ship(n=1)",
        "ship(**x)",
        "ship(n=1); x",
        "ship(n=1",
        "x = ship()",
        "ship(n=__import__('os'))",
    ],
)
def test_other_texts_are_no_calls(text: str):
    with pytest.raises(ValueError, match="no call"):
        read_call(text)
    assert call_or_none(text) is None


def test_sameness_is_of_meaning():
    def same(one: str, other: str, **defaults: object) -> bool:
        return same_call(call_or_none(one), call_or_none(other), defaults)

    assert same("f(a=1, b='x')", "f(b = 'x', a=1.0)")
    assert same("f(a=[1, 2])", "f(a=(1, 2))")
    assert same("f(a=1)", "f(a=1, b=False)", b=False)
    assert not same("f(a=1)", "f(a=1, b=True)", b=False)
    assert not same("f(a=1)", "g(a=1)")
    assert not same("f(a=1)", "f(a=2)")
    assert not same("f(a=1)", "f(a=True)")
    assert not same("f(a='1')", "f(a=1)")
    assert not same("f(a=1)", "no call")


def test_results_are_compared_when_carried_out():
    functions = {"double": lambda n: 2 * n, "twice": lambda n: n + n, "broken": lambda n: 1 / 0}

    def same(one: str, other: str) -> bool:
        return same_result(call_or_none(one), call_or_none(other), functions)

    assert same("double(n=2)", "twice(n=2)")
    assert not same("double(n=2)", "double(n=3)")
    assert not same("broken(n=2)", "broken(n=2)")
    assert not same("double(n=2)", "double(m=2)")
    assert not same("double(n=2)", "unknown(n=2)")
    assert not same("double(n=2)", "nothing")


# -- paraphrases


class Asked:
    def __init__(self, answer) -> None:
        self.answer, self.draws, self.prompts = answer, [], []

    async def __call__(self, prompt, *, draw=None, task=None, sample=None, schema=None) -> Reply:
        self.draws.append(draw)
        self.prompts.append(prompt)
        answer = self.answer(draw)
        return answer if isinstance(answer, Reply) else Reply(answer)

    def render(self, template, variables) -> str:
        return Prompts(prompt_folders()).render(template, variables)


def document(**columns: object) -> dict:
    return {
        "id": "d",
        "text": "",
        "api.request": "Ship 10 bolts to Oslo.",
        "api.call": "ship(product='bolts', quantity=10, city='Oslo')",
        "api.case": "call",
        "api.function": "ship",
        "api.slots": ["10", "bolts", "Oslo"],
        "api.defaults": '{"express": false}',
        **columns,
    }


def said(stage: Paraphrase, answer, **draw: object) -> tuple[list[dict], Asked]:
    ask = Asked(answer)
    return list(asyncio.run(stage.generate({"document": document(), **draw}, ask))), ask


def test_paraphrases_keep_the_call_and_every_value():
    stage = Paraphrase(teacher="author", inputs="requests", paraphrases=3)
    replies = iter(['"Oslo wants bolts,\n10 of them!"', "Send ten bolts to Oslo.", Reply("To Oslo: 10 bolts", finish="length")])
    rows, ask = said(stage, lambda draw: next(replies))
    assert [row["api.request"] for row in rows] == ["Ship 10 bolts to Oslo.", "Oslo wants bolts, 10 of them!"]
    assert rows[1]["text"] == "Request: Oslo wants bolts, 10 of them!\nCall: ship(product='bolts', quantity=10, city='Oslo')\n"
    assert rows[1]["api.defaults"] == '{"express": false}'
    assert all(row["api.call"] == document()["api.call"] and "id" not in row for row in rows)
    assert len({draw["role"] for draw in ask.draws}) == 3
    assert all(
        draw["role"] in prompt and "10; bolts; Oslo" in prompt for draw, prompt in zip(ask.draws, ask.prompts, strict=True)
    )


def test_without_the_original_nothing_may_be_left():
    stage = Paraphrase(teacher="author", inputs="requests", keep_original=False)
    with pytest.raises(UnusableReply, match="kept every value"):
        said(stage, lambda draw: "Send something somewhere.")
    (row,), ask = said(stage, lambda draw: "10 bolts for Oslo", role="a pirate")
    assert row["api.request"] == "10 bolts for Oslo"
    assert ask.draws[0]["role"] == "a pirate"


def test_values_count_as_whole_words():
    assert holds("send 10 bolts", "10")
    assert not holds("send 100 bolts", "10")
    assert not holds("send it to Oslofjord", "Oslo")
    assert holds("lamps, and also bolts", "bolts and lamps")
    assert holds("the 2025-01-03, please", "2025-01-03")


# -- chats and scores


def test_chats_ask_and_call(file: Path):
    rows = table(file, count=5)
    chats = RequestChats(inputs="requests", system="You ship.").transform(rows)
    assert chats.schema["messages"] == Chats.content["messages"]
    assert [turn["role"] for turn in chats["messages"][0]] == ["system", "user", "assistant"]
    assert chats["messages"][0][2]["content"] == rows["api.call"][0]
    assert [turn["role"] for turn in RequestChats(inputs="requests").transform(rows)["messages"][0]] == ["user", "assistant"]


class Model:
    def __init__(self, answer) -> None:
        self.answer = answer

    def complete(self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str], seed: int) -> list[list[str]]:
        return [[self.answer(prompt).partition("\n")[0]] for prompt in prompts]

    def close(self) -> None:
        pass


class Resolver:
    def __init__(self, answer) -> None:
        self._answer = answer

    def model(self, checkpoint: Path) -> Model:
        return Model(self._answer)


def measured(file: Path, answer, **options: object) -> dict[str, float]:
    requests = write_documents(file.parent / "flow", table(file))
    given = StageInputs(
        {"from": {"m": Checkpoint(file.parent)}, "requests": {"probe": requests}}, file.parent, Resolver(answer)
    )
    found = CallScores(inputs="m", requests="probe", **options).evaluate(given, file.parent)
    return dict(zip(found["metric"], found["value"], strict=True))


def test_a_model_that_knows_all_has_full_marks(file: Path, monkeypatch: pytest.MonkeyPatch):
    shop = types.ModuleType("shop_for_tests")
    shop.ship = lambda product, quantity, city, express=False: f"{quantity} {product} {city} {express}"
    shop.stock = lambda products, day="": sorted(products)
    monkeypatch.setitem(sys.modules, "shop_for_tests", shop)
    right = {f"Request: {row['api.request']}\nCall:": row["api.call"] for row in table(file).iter_rows(named=True)}
    figures = measured(file, lambda prompt: right[prompt] + "\nmore", implementation="shop_for_tests")
    seconds = figures.pop("seconds a request")
    assert 0 <= seconds < 1
    assert figures == dict.fromkeys(
        ["exact call", "exact call, call", "exact call, missing", "exact call, outside", "execution match",
         "decline precision", "decline recall", "clarify precision", "clarify recall"], 1.0
    )  # fmt: skip
    sorts = {prompt: call.replace("['bolts', 'lamps']", "['lamps', 'bolts']") for prompt, call in right.items()}
    figures = measured(file, sorts.__getitem__, implementation="shop_for_tests")
    assert figures["execution match"] == 1.0
    assert figures["exact call, call"] < 1.0


def test_a_model_that_always_declines_recalls_all_and_is_seldom_right(file: Path):
    figures = measured(file, lambda prompt: "decline()")
    share = (table(file)["api.case"] == "outside").mean()
    assert figures["decline recall"] == 1.0
    assert figures["decline precision"] == pytest.approx(share)
    assert figures["exact call"] == pytest.approx(share)
    assert figures["clarify recall"] == 0.0
    assert "clarify precision" not in figures
    assert "execution match" not in figures


def test_what_cannot_be_scored_is_told(file: Path):
    assert [c.place for c in CallScores(inputs="m", requests="r", question="?", implementation="no.such.module").check()] == [
        "question",
        "implementation",
    ]
    empty = StageInputs(
        {"from": {}, "requests": {"r": write_documents(file.parent / "flow", table(file).clear())}}, file.parent, Resolver(str)
    )
    with pytest.raises(RunError, match="no requests"):
        CallScores(inputs="m", requests="r").evaluate(empty, file.parent)
