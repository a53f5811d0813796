"""The kernels see the words that a regular expression sees, whatever their lengths and places."""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from textbookgen_dedup.lsh.signatures import MinHashScheme, shingle_sets, sketch_texts
from textbookgen_dedup.text.normalize import normalize
from textbookgen_dedup.text.word_bytes import to_word_bytes, word_batches

TEXTS = st.lists(st.text("abcXYZ019_ \n\t.,-éßñЖ—“”", max_size=60), min_size=1, max_size=6)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@settings(max_examples=150, deadline=None)
@given(TEXTS)
@example(["a" * 7, "a" * 8, "a" * 9, "a" * 15, "a" * 16, "a" * 17 + "!", "", " ", "a"])
@example(["abcdefgh ijklmnop", " " * 23 + "x", "x" + " " * 23])
def test_words_are_those_of_a_regular_expression(texts: list[str]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    _, ends = shingle_sets(series, 1)
    assert np.diff(ends, prepend=0).tolist() == [len(set(words(text))) for text in texts]
    _, ends = shingle_sets(series, 3)
    runs = [words(text) for text in texts]
    assert np.diff(ends, prepend=0).tolist() == [
        len({tuple(run[at : at + 3]) for at in range(max(1, len(run) - 2))} if run else ()) for run in runs
    ]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_texts_are_exact_copies_if_their_words_are_the_same(texts: list[str]) -> None:
    series = pl.Series([*texts, *(text.upper() + " " for text in texts if "ß" not in text)], dtype=pl.String)
    sketches = sketch_texts(pl.Series([str(n) for n in range(len(series))]), series, MinHashScheme.for_threshold(0.8, 5, 16))
    assert sketches["words"].to_list() == [len(words(text)) for text in series]
    hashes: dict[tuple[str, ...], set[tuple[int, ...]]] = {}
    for text, exact in zip(series, sketches["exact"].to_list(), strict=True):
        if words(text):
            hashes.setdefault(tuple(words(text)), set()).add(tuple(exact))
    assert all(len(each) == 1 for each in hashes.values())
    assert len({next(iter(each)) for each in hashes.values()}) == len(hashes)


def test_unicode_forms_are_one_and_accents_can_go() -> None:
    composed, decomposed = "na\u00efve caf\u00e9", "nai\u0308ve cafe\u0301"
    assert normalize(pl.Series([decomposed]))[0] == normalize(pl.Series([composed]))[0] == composed
    assert normalize(pl.Series([composed]), accents=False)[0] == "naive cafe"
    assert normalize(pl.Series(["ASCII stays"]))[0] == "ASCII stays"


ODD = "\u0301\u0308\u0327\ufe0f\u3099\u1161\u11a8\u1100\uac00\u03a3\u03c3\u212b\ufdfa\ufb01\u00bd\u4e2d\u3042\u0e01\u0e33\u20dd\u302e\U0001f600\U0001d6ba\u0130a. "


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=30), min_size=1, max_size=5))
@example(["\ufdfa" * 40, "a", "\u4e2d" * 50, "e\u0301", ""])
@pytest.mark.parametrize("accents", [True, False])
def test_the_kernels_get_the_words_that_the_rules_of_unicode_give(accents: bool, texts: list[str]) -> None:
    series = pl.Series(texts, dtype=pl.String)
    expected = [re.findall(rb"[0-9a-z_\x80-\xff]+", text.encode().lower()) for text in normalize(series, accents)]
    word_bytes = to_word_bytes(series, accents)
    assert [word_bytes.words(row) for row in range(len(texts))] == expected


def test_batches_are_all_texts_in_order() -> None:
    texts = pl.Series([f"text {n}" for n in range(1030)])
    slices = list(word_batches(texts, 512))
    assert [(rows.start, rows.stop) for rows, _ in slices] == [(0, 512), (512, 1024), (1024, 1030)]
    assert b"".join(words.source.data.tobytes() + b"\n" for _, words in slices).decode().split("\n")[:-1] == texts.to_list()
