"""Slot values that training never sees, to test on."""

from __future__ import annotations

import polars as pl
from textbookgen_api.requests import Requests


def drawn(values: str) -> pl.DataFrame:
    return pl.concat(Requests(path="household", count=3_000, values=values).read())


def test_seen_and_unseen_values_have_nothing_in_common() -> None:
    seen, unseen = drawn("seen"), drawn("unseen")
    for case in ("call", "outside"):
        calls = [set(each.filter(pl.col("api.case") == case)["api.request"]) for each in (seen, unseen)]
        assert calls[0] and calls[1] and not calls[0] & calls[1]
    assert {*seen["api.function"].drop_nulls()} == {*unseen["api.function"].drop_nulls()}
    assert len({*seen["api.function"].drop_nulls()}) == 6
