"""Vocabulary: inflected forms count as their word, and a child's words are known in all their forms."""

from __future__ import annotations

import pytest
from textbookgen_tinystories.vocabulary import contains_word, forms_of, hard_words, stem, text_words, tokens, word_list


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
        ("sniff", "sniffed"),
        ("glue", "glued"),
        ("glue", "gluing"),
        ("hug", "hugging"),
        ("agree", "agreeing"),
        ("tie", "tying"),
        ("tie", "tied"),
        ("lie", "lied"),
        ("knee", "knees"),
        ("zoo", "zoos"),
        ("wash", "washes"),
        ("puppy", "puppies"),
        ("buzz", "buzzing"),
        ("rose", "roses"),
        ("dream", "dreamed"),
        ("dream", "dreamt"),
        ("visit", "visited"),
        ("forget", "forgetting"),
        ("rise", "rose"),
        ("lay", "laid"),
        ("lie", "lay"),
        ("good", "better"),
    ],
)
def test_inflected_forms_count_as_the_word(word: str, form: str):
    assert contains_word(word, text_words([form]))


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("go", "got"),
        ("cat", "cattle"),
        ("star", "start"),
        ("big", "bigot"),
        ("see", "seed"),
        ("saw", "see"),
        ("car", "care"),
        ("hop", "hoped"),
        ("cut", "cute"),
        ("corn", "corner"),
        ("hug", "huge"),
        ("let", "letter"),
    ],
)
def test_other_words_do_not_count_as_the_word(word: str, other: str):
    assert not contains_word(word, text_words([other]))


def test_every_word_of_the_lists_is_known_in_all_its_forms():
    for name in ("nouns", "verbs", "adjectives"):
        words = word_list(name)
        assert len(set(words)) == len(words) > 350
        assert [word for word in words if hard_words(word)] == []
        assert all(hard_words(form) == [] for word in words for form in forms_of(word))
    assert hard_words("went children happier slowly didn't it's") == []


def test_hard_words_are_listed_and_names_are_not():
    assert hard_words("The bureaucrat gave Zebulon a subsidy, and Zebulon's dog a subsidy.") == [
        "bureaucrat",
        "subsidy",
        "subsidy",
    ]
    assert hard_words("Zebulon ran.") == ["zebulon"]
    assert hard_words("Zebulon ran. Zebulon's dog ran.") == []
    assert hard_words("Subsidies came. Subsidies went. More subsidies came.") == ["subsidies"] * 3
    assert hard_words("Lily ran.") == []
    assert hard_words("A subsidy.", frozenset({stem("subsidies")})) == []


def test_tokens_keep_apostrophes_and_drop_other_punctuation():
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
