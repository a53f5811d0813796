"""Requests: each is answered by the call it was made from, and test values never occur in training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
from textbookgen_api.calls import parse_call
from textbookgen_api.requests import Requests


def table(file: Path, **options: object) -> pl.DataFrame:
    source = Requests(path=str(file), **{"count": 600, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


def test_every_call_follows_from_its_request(file: Path):
    rows = table(file, missing_share=0, outside_share=0)
    assert set(rows["api.function"]) == {"ship", "stock"}
    for row in rows.iter_rows(named=True):
        call = parse_call(row["api.call"])
        assert call.function == row["api.function"]
        assert row["text"] == f"Request: {row['api.request']}\nCall: {row['api.call']}\n"
        assert all(words in row["api.request"] for words in row["api.values"])
        assert len(row["api.values"]) == len(call.arguments)
        for name, value in call.arguments.items():
            if name == "express":
                assert ("by express" if value else "by slow freight") in row["api.request"]
            else:
                assert all(str(each) in row["api.request"] for each in (value if isinstance(value, list) else [value]))
        if call.function == "ship":
            assert {"product", "quantity", "city"} <= call.arguments.keys()
            assert ("express" in call.arguments) == ("by " in row["api.request"])
            assert json.loads(row["api.defaults"]) == {"express": False}
    share = rows.filter(pl.col("api.request").str.starts_with("Ship"))["api.call"].str.contains("express").mean()
    assert 0.4 < share < 0.6


def test_requests_that_lack_a_value_are_answered_by_clarify(file: Path):
    rows = table(file, missing_share=1, outside_share=0)
    assert set(rows["api.case"]) == {"missing"}
    assert set(rows["api.call"]) == {"clarify(missing=['city'])"}
    assert not rows["api.request"].str.contains("Oslo|Lima").any()
    assert set(rows["api.function"]) == {"ship"}


def test_outside_requests_are_declined(ship: dict, file: Path, tmp_path: Path):
    rows = table(file, missing_share=0, outside_share=1)
    assert set(rows["api.call"]) == {"decline()"}
    assert rows["api.request"].n_unique() > 30
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"functions": [ship], "outside": ["Sing!"]}), encoding="utf-8")
    assert set(table(own, missing_share=0, outside_share=1)["api.request"]) == {"Sing!"}


def test_shares_seeds_and_counts(file: Path):
    rows = table(file, count=3_000)
    cases = Counter(rows["api.case"])
    assert 240 < cases["missing"] < 360
    assert 240 < cases["outside"] < 360
    assert rows["id"].n_unique() == 3_000
    assert rows[:100].equals(table(file, count=100))
    assert not set(rows["id"]) & set(table(file, count=100, seed=1)["id"])


def test_the_content_of_the_file_is_part_of_the_digest(file: Path):
    before = Requests(path=str(file), count=1).digest()
    file.write_text(file.read_text(encoding="utf-8").replace("Oslo", "Rome"), encoding="utf-8")
    assert Requests(path=str(file), count=1).digest() != before


def test_descriptions_of_functions_are_kept_for_prompts(file: Path):
    rows = table(file)
    assert set(rows.filter(pl.col("api.function") == "ship")["api.description"]) == {"Sends goods."}
    assert rows.filter(pl.col("api.case") == "outside")["api.description"].null_count() > 0


def sampled(values: str) -> pl.DataFrame:
    return pl.concat(Requests(path="household", count=3_000, values=values).read())


def test_seen_and_unseen_values_have_nothing_in_common() -> None:
    seen, unseen = sampled("seen"), sampled("unseen")
    for case in ("call", "outside"):
        calls = [set(each.filter(pl.col("api.case") == case)["api.request"]) for each in (seen, unseen)]
        assert calls[0] and calls[1] and not calls[0] & calls[1]
    assert {*seen["api.function"].drop_nulls()} == {*unseen["api.function"].drop_nulls()}
    assert len({*seen["api.function"].drop_nulls()}) == 6
