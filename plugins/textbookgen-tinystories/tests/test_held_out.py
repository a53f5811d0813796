"""Held out: a story is dropped if and only if its constraints include a whole combination."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError
from textbookgen_tinystories.held_out import HeldOut

DOCS = pl.DataFrame(
    {
        "id": ["both", "word", "feature", "none", "pair"],
        "text": [""] * 5,
        "tinystories.words": [["go", "sad"], ["sad"], ["go"], None, ["cat", "dog"]],
        "tinystories.features": [["Twist"], [], ["Twist"], None, []],
    }
)


def test_only_whole_combinations_are_held_out():
    filter = HeldOut(inputs="stories", combinations=(("Twist", "sad"), ("dog", "cat")))
    verdicts = filter.decide(DOCS)
    assert verdicts["id"].to_list() == DOCS["id"].to_list()
    assert verdicts["keep"].to_list() == [False, True, True, True, False]
    assert verdicts["reason"].to_list() == ["held out", None, None, None, "held out"]
    assert verdicts["detail"].to_list() == ["Twist + sad", None, None, None, "dog + cat"]


def test_both_settings_of_keep_are_complements():
    others = HeldOut(inputs="stories", combinations=(("Twist",),)).decide(DOCS)["keep"]
    held = HeldOut(inputs="stories", combinations=(("Twist",),), keep="held-out").decide(DOCS)
    assert (others != held["keep"]).all()
    assert held["reason"].to_list() == [None, "not held out", None, "not held out", "not held out"]


def test_without_columns_nothing_is_held_out_and_empty_combinations_are_rejected():
    assert HeldOut(inputs="s", combinations=(("sad",),)).decide(DOCS.select("id", "text"))["keep"].all()
    with pytest.raises(ValidationError, match="at least one"):
        HeldOut(inputs="s", combinations=((),))
