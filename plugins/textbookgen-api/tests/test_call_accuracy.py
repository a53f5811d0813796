"""Call accuracy: models whose answers are known get the figures they deserve."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_api.call_accuracy import CallAccuracy
from textbookgen_api.requests import Requests

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents


def table(file: Path, **options: object) -> pl.DataFrame:
    source = Requests(path=str(file), **{"count": 600, **options})
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
