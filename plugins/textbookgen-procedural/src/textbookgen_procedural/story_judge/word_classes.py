"""Words that the judge of stories knows by their class, and the stems by which it compares words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import snowballstemmer  # type: ignore[import-untyped]

from textbookgen_procedural.data_files import read_lists, words
from textbookgen_procedural.names import BOYS, GIRLS

_STEMMER = snowballstemmer.stemmer("english")
_IRREGULAR = {past: base for base, past in (pair.split(":") for pair in words("irregular"))}


@cache
def word_class(heading: str) -> frozenset[str]:
    """Return the words under a heading of `data/story_judge.txt`."""
    return frozenset(" ".join(read_lists("story_judge")[heading]).split())


@cache
def cues(heading: str) -> re.Pattern[str]:
    """Return a pattern for the phrases under a heading, which are separated by bars."""
    return re.compile(rf"\b(?:{'|'.join(read_lists('story_judge')[heading])})\b", re.IGNORECASE)


@cache
def stem(word: str) -> str:
    """Return the stem by which forms of a word are equal: `ran` and `running` have that of `run`."""
    bare = word.lower().removesuffix("'s").removesuffix("\u2019s")
    return str(_STEMMER.stemWord(_IRREGULAR.get(bare, bare)))


def content_stems(words_: Sequence[str]) -> frozenset[str]:
    """Return the stems of the words that are not function words."""
    return frozenset(stem(word) for word in words_ if len(word) > 2 and word.lower() not in word_class("function words"))


@cache
def gender(word: str) -> str:
    """Return `she`, `he`, or `either` for a word that names somebody; an empty text for any other word."""
    bare = without_possessive(word)
    if bare in _GIRLS or bare in _BOYS:
        return "either" if bare in _GIRLS and bare in _BOYS else "she" if bare in _GIRLS else "he"
    lowered = bare.lower()
    singular = lowered[:-1] if lowered.endswith("s") else lowered
    notes = {
        kind
        for kind, heading in (("she", "feminine"), ("he", "masculine"), ("either", "either"))
        if {lowered, singular} & word_class(heading)
    }
    if not notes:
        return ""
    return notes.pop() if len(notes) == 1 else "either"


def without_possessive(word: str) -> str:
    """Return a word without `'s`."""
    return word.removesuffix("'s").removesuffix("\u2019s")


def is_listed_name(word: str) -> bool:
    """Return whether a word is one of the first names that this plugin's stories use."""
    return word in _GIRLS or word in _BOYS or word in _PETS


_PETS = frozenset(words("animal names"))
_GIRLS = frozenset(GIRLS) | frozenset(words("animal girls"))
_BOYS = frozenset(BOYS) | frozenset(words("animal boys"))
