"""Requests: each is answered by the call it was made from, and test values never occur in training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
from textbookgen_api.calls import Result, parse_plan
from textbookgen_api.requests import Requests


def table(file: Path | str, **options: object) -> pl.DataFrame:
    source = Requests(path=str(file), **{"count": 600, "frames": False, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


def test_every_call_follows_from_its_request(file: Path):
    rows = table(file, missing_share=0, outside_share=0)
    assert set(rows["api.function"]) == {"ship", "stock"}
    for row in rows.iter_rows(named=True):
        (call,) = parse_plan(row["api.call"])
        assert call.function == row["api.function"]
        assert row["text"] == f"Request: {row['api.request']}\nCall: {row['api.call']}\n"
        assert all(words in row["api.request"] for words in row["api.values"])
        assert len(row["api.values"]) == len(call.arguments)
        assert "Sends goods." in row["api.application"]
        for name, value in call.arguments.items():
            if name == "express":
                assert ("by express" if value else "by slow freight") in row["api.request"]
            else:
                assert all(str(each) in row["api.request"] for each in (value if isinstance(value, list) else [value]))
        if call.function == "ship":
            assert {"product", "quantity", "city"} <= call.arguments.keys()
            assert ("express" in call.arguments) == ("by " in row["api.request"])
            assert json.loads(row["api.defaults"]) == {"ship": {"express": False}}
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


def household(**options: object) -> pl.DataFrame:
    return table("household", **{"count": 2_000, "frames": True, "sequence_share": 0.15, "typo_share": 0.1, **options})


def test_seen_and_unseen_values_have_nothing_in_common():
    names = {
        split: {
            call.arguments["artist"]
            for text in household(values=split, sequence_share=0)["api.call"]
            for call in parse_plan(text)
            if call.function == "play_music"
        }
        for split in ("seen", "unseen")
    }
    fold = {split: {name.lower() for name in items} for split, items in names.items()}
    assert len(fold["seen"]) > 60 and len(fold["unseen"]) > 5
    assert not names["seen"] & names["unseen"]


def test_seen_and_unseen_phrasings_and_functions_have_nothing_in_common():
    seen, unseen = (household(values=split, phrasings=split, functions=split) for split in ("seen", "unseen"))
    assert not set(seen["api.phrasing"]) & set(unseen["api.phrasing"])
    templates = [
        {part for phrasing in rows["api.phrasing"] for part in phrasing.split(" / ") if part != "{}"} for rows in (seen, unseen)
    ]
    assert not templates[0] & templates[1]
    absent = [set(rows.filter(pl.col("api.case") == "outside")["api.function"]) for rows in (seen, unseen)]
    assert len(absent[0]) > 20 and len(absent[1]) > 3 and not absent[0] & absent[1]
    joined = pl.col("api.phrasing").str.contains(" / .*: ") & (pl.col("api.function").str.contains("+", literal=True))
    pairs = [set(rows.filter(joined)["api.function"]) for rows in (seen, unseen)]
    assert pairs[0] and pairs[1]
    functions = [set(rows.filter(pl.col("api.case") == "call")["api.function"]) for rows in (seen, unseen)]
    assert functions[0] == functions[1] and len(functions[0]) == 9


def test_a_split_is_a_function_of_names_alone():
    def requests(**options: object) -> dict[str, str]:
        rows = household(phrasings="unseen", **options)
        return dict(zip(rows["api.phrasing"], rows["api.function"], strict=True))

    some, others = requests(seed=1), requests(seed=2, missing_share=0.3, count=3_000)
    parts = {part for phrasing in some for part in phrasing.split(" / ")}
    known = {part for phrasing in household(phrasings="seen", count=3_000)["api.phrasing"] for part in phrasing.split(" / ")}
    assert parts & {part for phrasing in others for part in phrasing.split(" / ")}
    assert not parts & known


def test_every_voice_is_there_and_values_are_copied_as_typed():
    rows = household(missing_share=0, outside_share=0)
    assert set(rows["api.voice"]) >= {"plain", "polite", "indirect", "question", "shorthand", "goal", "terse", "wish"}
    texts = 0
    for request, text in rows.select("api.request", "api.call").iter_rows():
        for call in parse_plan(text):
            for name in ("artist", "person", "text", "item", "dish", "room", "label"):
                value = call.arguments.get(name)
                if isinstance(value, str):
                    assert value in request
                    texts += 1
    assert texts > 1_500


def test_plans_are_in_the_order_of_the_request_and_pass_results_on():
    rows = household(missing_share=0, outside_share=0).filter(pl.col("api.case") == "plan")
    passed = 0
    for row in rows.iter_rows(named=True):
        plan = parse_plan(row["api.call"])
        assert 2 <= len(plan) <= 3
        assert row["api.function"] == " + ".join(call.function for call in plan)
        for number, call in enumerate(plan):
            for value in call.arguments.values():
                if isinstance(value, Result):
                    assert value.call < number
                    assert plan[value.call].function.startswith(("find_", "read_"))
                    passed += 1
    assert passed > 100


def test_frames_openers_and_typing_errors_leave_values_alone():
    rows = household(typo_share=1.0, missing_share=0, outside_share=0, count=500)
    assert all(value in row["api.request"] for row in rows.iter_rows(named=True) for value in row["api.values"])
    plain = table("household", count=500, frames=False)
    assert plain["api.request"].n_unique() > 450
    assert not set(rows["api.request"]) & set(plain["api.request"])


def test_empty_splits_are_problems(file: Path):
    stage = Requests(path=str(file), count=1, phrasings="unseen", sequence_share=0.5, outside_share=0.1)
    places = [item.place for item in stage.check()]
    assert "phrasings" in places and "sequence_share" in places
