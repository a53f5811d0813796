"""What counts as the same word, and which words a small child knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Protocol

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CONTRACTION = re.compile(r"(?:n't|'(?:s|re|ve|ll|d|m))$")
_VOWELS = "aeiou"


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@cache
def word_list(name: str) -> tuple[str, ...]:
    """The words of a list in `lists/`, in order."""
    text = files("textbookgen_tinystories").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def tokens(text: str) -> list[str]:
    """The words of a text as they are written, with straight apostrophes."""
    return _TOKEN.findall(text.replace("\u2019", "'"))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """What the regular forms of a word have in common, by the Snowball stemmer for English; `'s` and the like are cut off."""
    return _stemmer().stemWord(_plain(word))


def stems_in(words: Iterable[str]) -> frozenset[str]:
    """The stems of the words of a text; a form that no rule makes gives that of its word too (`went` gives `go`)."""
    return frozenset(each for word in words for each in _stems(word))


def forms_found(word: str, text_stems: frozenset[str]) -> bool:
    """Whether a text with these stems holds the word in some form: inflected, compared, or as an adverb."""
    return not stems_of(word).isdisjoint(text_stems)


@lru_cache(maxsize=1 << 13)
def stems_of(word: str) -> frozenset[str]:
    """The stems of a word, its comparison and its adverb (which the stemmer leaves alone)."""
    return frozenset(stem(form) for form in (word, *_compared(word), *_adverbs(word)))


@cache
def known_stems() -> frozenset[str]:
    """The stems of every word that a small child knows, names not counted."""
    words = (each for name in ("nouns", "verbs", "adjectives") for each in word_list(name))
    found = {each for word in words for each in stems_of(word)}
    return frozenset(found | {stem(word) for word in word_list("function_words")})


def unknown(text: str, more: frozenset[str] = frozenset()) -> list[str]:
    """The words of a text, in order and as often as they occur, that a small child does not know.

    Names count as known: those in the list, and words that are capitalised inside a sentence.
    """
    names = frozenset(word_list("names")) | _capitalised(text)
    words = map(str.lower, tokens(text))
    return [word for word in words if not (_known(word) or _plain(word) in names or stem(word) in more)]


@lru_cache(maxsize=1 << 16)
def _known(word: str) -> bool:
    return word in _function_words() or any(each in known_stems() for each in _stems(word))


def _plain(word: str) -> str:
    return _CONTRACTION.sub("", word.lower())


@lru_cache(maxsize=1 << 16)
def _stems(word: str) -> tuple[str, ...]:
    base = _bases().get(_plain(word))
    return (stem(word),) if base is None else (stem(word), stem(base))


def _capitalised(text: str) -> frozenset[str]:
    """Words that are written with a capital although no sentence begins with them."""
    found = re.findall(r"(?<=[\w,;] )[A-Z][a-z']+", text.replace("\u2019", "'"))
    return frozenset(map(_plain, found))


def _compared(word: str) -> tuple[str, ...]:
    if word.endswith("e"):
        return (f"{word}r", f"{word}st")
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return (f"{word[:-1]}ier", f"{word[:-1]}iest")
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", word):
        return (f"{word}{word[-1]}er", f"{word}{word[-1]}est")
    return (f"{word}er", f"{word}est")


def _adverbs(word: str) -> tuple[str, ...]:
    if word.endswith("y"):
        return (f"{word[:-1]}ily",)
    if word.endswith("le"):
        return (f"{word[:-1]}y",)
    return (f"{word}ly",)


@cache
def _function_words() -> frozenset[str]:
    return frozenset(word_list("function_words"))


@cache
def _bases() -> dict[str, str]:
    """Each irregular form with its word."""
    text = files("textbookgen_tinystories").joinpath("lists/irregular.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {form: base for base, *forms in lines for form in forms}


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer  # type: ignore[import-untyped]

    stemmer: _Stemmer = snowballstemmer.stemmer("english")
    return stemmer
