"""Call accuracy: models whose answers are known get the figures they deserve."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_api.answers import Answers
from textbookgen_api.call_accuracy import CallAccuracy
from textbookgen_api.recorded_requests import RecordedRequests
from textbookgen_api.requests import Requests

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts
from textbookgen.testing import write_documents


def table(file: Path, **options: object) -> pl.DataFrame:
    source = Requests(path=str(file), frames=False, **{"count": 600, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


SHOP = [
    {"request": "Send 10 lamps to Oslo", "call": "ship(product='lamps', quantity=10, city='Oslo')"},
    {
        "request": "Ship what is in stock to Lima",
        "call": "a = stock(products=['lamps']); ship(product=a, quantity=10, city='Lima')",
    },
    {"request": "Send lamps", "call": "clarify(missing=['quantity', 'city'])"},
    {"request": "Sing!", "call": "decline()"},
]


def recorded(file: Path) -> pl.DataFrame:
    path = file.parent / "users.jsonl"
    path.write_text("# users\n" + "\n".join(map(json.dumps, SHOP)), encoding="utf-8")
    source = RecordedRequests(path=str(path), application=str(file))
    assert list(source.check()) == []
    return pl.concat(source.read())


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


def figures_of(file: Path, answer, **options: object) -> dict[str, float]:
    requests = write_documents(file.parent / "flow", table(file))
    inputs = StageInputs(
        {"from": {"m": Checkpoint(file.parent)}, "requests": {"probe": requests}}, file.parent, Resolver(answer)
    )
    report = CallAccuracy(inputs="m", requests="probe", **options).evaluate(inputs, file.parent)
    return dict(zip(report["metric"], report["value"], strict=True))


def test_a_model_that_is_always_right_scores_1(file: Path, monkeypatch: pytest.MonkeyPatch):
    shop = types.ModuleType("shop_for_tests")
    shop.ship = lambda product, quantity, city, express=False: f"{quantity} {product} {city} {express}"
    shop.stock = lambda products, day="": sorted(products)
    monkeypatch.setitem(sys.modules, "shop_for_tests", shop)
    right = {f"Request: {row['api.request']}\nCall:": row["api.call"] for row in table(file).iter_rows(named=True)}
    figures = figures_of(file, lambda prompt: right[prompt] + "\nmore", implementation="shop_for_tests")
    seconds = figures.pop("seconds per request")
    assert 0 <= seconds < 1
    assert figures == dict.fromkeys(
        ["exact call", "exact call, call", "exact call, missing", "exact call, outside", "equal result",
         "decline precision", "decline recall", "clarify precision", "clarify recall"], 1.0
    )  # fmt: skip
    sorts = {prompt: call.replace("['bolts', 'lamps']", "['lamps', 'bolts']") for prompt, call in right.items()}
    figures = figures_of(file, sorts.__getitem__, implementation="shop_for_tests")
    assert figures["equal result"] == 1.0
    assert figures["exact call, call"] < 1.0


def test_a_model_that_always_declines_has_full_recall_and_low_precision(file: Path):
    figures = figures_of(file, lambda prompt: "decline()")
    share = (table(file)["api.case"] == "outside").mean()
    assert figures["decline recall"] == 1.0
    assert figures["decline precision"] == pytest.approx(share)
    assert figures["exact call"] == pytest.approx(share)
    assert figures["clarify recall"] == 0.0
    assert "clarify precision" not in figures
    assert "equal result" not in figures


def test_problems_of_options_and_inputs_are_reported(file: Path):
    assert [c.place for c in CallAccuracy(inputs="m", requests="r", question="?", implementation="no.such.module").check()] == [
        "question",
        "implementation",
    ]
    empty = StageInputs(
        {"from": {}, "requests": {"r": write_documents(file.parent / "flow", table(file).clear())}}, file.parent, Resolver(str)
    )
    with pytest.raises(RunError, match="no requests"):
        CallAccuracy(inputs="m", requests="r").evaluate(empty, file.parent)


def test_answers_that_are_not_calls_are_kept_and_count_as_wrong(file: Path):
    figures = figures_of(file, lambda prompt: "I would ship it.")
    assert figures["exact call"] == 0.0
    assert figures["decline recall"] == 0.0
    calls = pl.read_parquet(file.parent / "calls.parquet")
    assert set(calls["answer"]) == {"I would ship it."}
    assert set(calls["function"]) == {""}
    assert not calls["exact"].any()


#: Replies to SHOP as language models write them: all right but the last.
REPLIES = [
    "```python\nship(quantity=10, product='lamps', city='Oslo')\n```",
    "Sure! Here are the calls:\n\nstock_result = stock(products=['lamps'])\nship(product=stock_result, quantity=10, city='Lima')",
    "**Call:** `clarify(missing=['quantity', 'city'])`",
    "I cannot sing, but I could ship something.",
]


class PaidAsk:
    """Answers one request with a text that has a price."""

    def __init__(self, text: str, cost_usd: float) -> None:
        self.reply, self.prompts = Reply(text, cost_usd=cost_usd), []

    async def __call__(self, prompt: str, *, draw=None, task=None, sample=None, schema=None, temperature=None) -> Reply:
        self.prompts.append(prompt)
        return self.reply

    def render(self, template, variables) -> str:
        return Prompts(prompt_folders()).render(template, variables)


def answered(requests: pl.DataFrame, replies: Sequence[str], cost_usd: float) -> pl.DataFrame:
    stage, rows = Answers(teacher="gpt", inputs="users"), []
    for document, text in zip(requests.iter_rows(named=True), replies, strict=True):
        ask = PaidAsk(text, cost_usd)
        rows += asyncio.run(stage.generate({"document": document}, ask))
        assert document["api.request"] in str(ask.prompts[0]) and "Sends goods." in str(ask.prompts[0])
    return pl.DataFrame(rows)


def test_a_teacher_is_scored_beside_models_with_time_and_money(file: Path):
    requests = recorded(file)
    assert requests["api.case"].to_list() == ["call", "plan", "missing", "outside"]
    teacher = answered(requests, REPLIES, 0.002)
    subjects = {
        "m": Checkpoint(file.parent),
        "gpt": write_documents(file.parent / "gpt", teacher),
    }
    inputs = StageInputs(
        {"from": subjects, "requests": {"users": write_documents(file.parent / "flow", requests)}},
        file.parent,
        Resolver(lambda prompt: "decline()"),
    )
    report = CallAccuracy(inputs=("m", "gpt"), requests="users").evaluate(inputs, file.parent)
    figures = {(row["subject"], row["metric"]): row["value"] for row in report.iter_rows(named=True)}
    assert figures["m", "exact call"] == 0.25
    assert figures["gpt", "exact call"] == 0.75
    assert figures["gpt", "exact call, plan"] == 1.0
    assert figures["gpt", "US dollars per 1,000 requests"] == pytest.approx(2.0)
    assert ("m", "US dollars per 1,000 requests") not in figures
    assert 0 <= figures["gpt", "seconds per request"] < 1
    text = (file.parent / "calls.md").read_text(encoding="utf-8")
    assert "I could ship something" in text and "### m" in text


def test_a_teacher_without_answers_to_these_requests_is_an_error(file: Path):
    requests = recorded(file)
    others = answered(requests, REPLIES, 0.0).with_columns(pl.lit("Another one").alias("api.request"))
    for table_, problem in ((others, "no answers to these"), (requests, "has no answers")):
        subjects = {"gpt": write_documents(file.parent / f"gpt {problem}", table_)}
        flow = write_documents(file.parent / f"flow {problem}", requests)
        inputs = StageInputs({"from": subjects, "requests": {"users": flow}}, file.parent, Resolver(str))
        with pytest.raises(RunError, match=problem):
            CallAccuracy(inputs="gpt", requests="users").evaluate(inputs, file.parent)


def test_figures_by_stage_of_requests(file: Path):
    tables = {"users": recorded(file), "probe": table(file, count=50, missing_share=0, outside_share=0)}
    flows = {label: write_documents(file.parent / label, rows) for label, rows in tables.items()}
    right = {f"Request: {row['api.request']}\nCall:": row["api.call"] for row in tables["probe"].iter_rows(named=True)}
    inputs = StageInputs(
        {"from": {"m": Checkpoint(file.parent)}, "requests": flows},
        file.parent,
        Resolver(lambda prompt: right.get(prompt, "?")),
    )
    report = CallAccuracy(inputs="m", requests=("users", "probe")).evaluate(inputs, file.parent)
    figures = dict(zip(report["metric"], report["value"], strict=True))
    assert figures["exact call of probe"] == 1.0
    assert figures["exact call of users"] == 0.0
