"""Words of topics: what a title says apart from common words, and whether a text says the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from textbookgen_textbooks.word_lists import words_by_heading

_WORD = re.compile(r"[^\W_]+")
_GRAMMATICAL = frozenset(("how", "it", "not", "or", "them", "us", "using", "when", "while", "why"))
_PREFIX = 5  # letters by which stems are compared, so that "matrices" is "matrix" and "conversion" is "convert"
_MIN_SHARE = 0.6  # of the words of a topic that a text about it has


def title_key(title: str) -> str:
    """Return the stems of the words of a title that say what it is about, sorted; the title itself if there are none."""
    return " ".join(sorted(_content_stems(title)))


def mentions(text: str, topic: str) -> bool:
    """Return whether a text has at least 60% of the words of a topic, in any form, common words aside."""
    plain = " ".join(word for word in topic.lower().split() if word.strip(",") not in _GRAMMATICAL)
    wanted = {stem[:_PREFIX] for stem in _content_stems(plain or topic)}
    present = {stem[:_PREFIX] for stem in _stems(_WORD.findall(text.lower()))}
    return len(wanted & present) >= _MIN_SHARE * len(wanted)


def _content_stems(title: str) -> set[str]:
    words = _WORD.findall(title.lower().replace("'s", "").replace("\u2019s", ""))
    return _stems([word for word in words if word not in _empty_words()] or words)


def _stems(words: Iterable[str]) -> set[str]:
    return set(_stemmer().stemWords(sorted(set(words))))


@cache
def _stemmer() -> Any:
    import snowballstemmer  # type: ignore[import-untyped]

    return snowballstemmer.stemmer("english")


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(word for _, words in words_by_heading("empty_words") for word in words)
