"""Words: forms of one word are one word, and a child's words are known in all their forms."""

from __future__ import annotations

import pytest
from textbookgen_tinystories.words import forms_found, stem, stems_in, stems_of, tokens, unknown, word_list


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("go", "went"),
        ("stop", "stopped"),
        ("cry", "cries"),
        ("lie", "lying"),
        ("child", "children"),
        ("leaf", "leaves"),
        ("box", "boxes"),
        ("big", "biggest"),
        ("happy", "happily"),
        ("gentle", "gently"),
        ("noisy", "noisier"),
        ("brave", "braver"),
        ("quick", "Quickly"),
        ("dog", "dog's"),
        ("rose", "roses"),
        ("rise", "rose"),
        ("lay", "laid"),
        ("lie", "lay"),
        ("good", "better"),
    ],
)
def test_forms_count_as_the_word(word: str, form: str):
    assert forms_found(word, stems_in([form]))


@pytest.mark.parametrize(
    ("word", "other"), [("go", "got"), ("cat", "cattle"), ("star", "start"), ("big", "bigot"), ("see", "seed"), ("saw", "see")]
)
def test_other_words_do_not(word: str, other: str):
    assert not forms_found(word, stems_in([other]))


def test_every_word_of_the_lists_is_known_in_all_its_forms():
    for name in ("nouns", "verbs", "adjectives"):
        words = word_list(name)
        assert len(set(words)) == len(words) > 350
        assert [word for word in words if unknown(word)] == []
        assert all(stem(word) in stems_of(word) for word in words)
    assert unknown("went children happier slowly didn't it's") == []


def test_hard_words_are_told_names_are_not():
    assert unknown("The bureaucrat gave Zebulon a subsidy, and Zebulon's dog a subsidy.") == [
        "bureaucrat",
        "subsidy",
        "subsidy",
    ]
    assert unknown("Zebulon ran.") == ["zebulon"]
    assert unknown("Lily ran.") == []
    assert unknown("A subsidy.", frozenset({stem("subsidies")})) == []


def test_tokens_keep_apostrophes_and_drop_the_rest():
    assert tokens("\u201cI don\u2019t know,\u201d said Café-owner Zoë at 5.") == [
        "I",
        "don't",
        "know",
        "said",
        "Café",
        "owner",
        "Zoë",
        "at",
    ]
