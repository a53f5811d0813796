"""Words: their inflected forms, and those that a small child knows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Protocol

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_CONTRACTION = re.compile(r"(?:n't|'(?:s|re|ve|ll|d|m))$")


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802


@cache
def word_list(name: str) -> tuple[str, ...]:
    """Return the words of a list in `lists/`, in order."""
    text = files("textbookgen_tinystories").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


def tokens(text: str) -> list[str]:
    """Return the words of a text as written, with straight apostrophes."""
    return _TOKEN.findall(text.replace("\u2019", "'"))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the stem of a word by the Snowball stemmer for English, without contractions such as `'s`."""
    return _stemmer().stemWord(_plain(word))


def text_words(words: Iterable[str]) -> frozenset[str]:
    """Return the words of a text in lower case without contractions, and the base of each irregular form (`go` for `went`)."""
    return frozenset(form for word in words for form in (_plain(word), _bases().get(_plain(word))) if form)


def contains_word(word: str, present: frozenset[str]) -> bool:
    """Return whether any form of a word is among the words of a text (see `text_words`)."""
    return not forms_of(word).isdisjoint(present)


@lru_cache(maxsize=1 << 13)
def forms_of(word: str) -> frozenset[str]:
    """Return a word and its regular forms by the parts of speech that the lists give it, or by all if none has it."""
    parts = [part for part in _FORMS if word in _lists()[part]] or list(_FORMS)
    return frozenset({word, *(form for part in parts for form in _FORMS[part](word))})


@cache
def known_stems() -> frozenset[str]:
    """Return the stems of all words that a small child knows, except names."""
    stems = {stem(form) for words in _lists().values() for word in words for form in forms_of(word)}
    return frozenset(stems | {stem(word) for word in word_list("function_words")})


def hard_words(text: str, extra_stems: frozenset[str] = frozenset()) -> list[str]:
    """Return the words of a text that a small child does not know, in order and with repeats.

    Args:
        text: the text.
        extra_stems: stems of further words that count as known.

    Names count as known: those of the list, and words that are capitalized inside a sentence, or always and more than once.
    """
    names = frozenset(word_list("names")) | _likely_names(text)
    words = map(str.lower, tokens(text))
    return [word for word in words if not (_known(word) or _plain(word) in names or stem(word) in extra_stems)]


@lru_cache(maxsize=1 << 16)
def _known(word: str) -> bool:
    return word in _function_words() or any(candidate in known_stems() for candidate in _stems(word))


def _plain(word: str) -> str:
    return _CONTRACTION.sub("", word.lower())


@lru_cache(maxsize=1 << 16)
def _stems(word: str) -> tuple[str, ...]:
    base = _bases().get(_plain(word))
    return (stem(word),) if base is None else (stem(word), stem(base))


def _likely_names(text: str) -> frozenset[str]:
    """Words that are capitalized inside a sentence, or always capitalized and used more than once."""
    inside = re.findall(r"(?<=[\w,;] )[A-Z][a-z']+", text.replace("\u2019", "'"))
    written = [_CONTRACTION.sub("", word) for word in tokens(text)]
    counts = Counter(written)
    always = [word for word, count in counts.items() if count > 1 and word[0].isupper() and not counts[word.lower()]]
    return frozenset(map(_plain, [*inside, *always]))


def _verb_forms(word: str) -> Iterator[str]:
    yield from _noun_forms(word)
    regular = word not in _bases().values()
    if word.endswith("e"):
        yield from (f"{word[:-2]}ying" if word.endswith("ie") else f"{word[:-1]}ing", f"{word}ing")
        ends = [f"{word}d"]
    elif _consonant_y(word):
        yield f"{word}ing"
        ends = [f"{word[:-1]}ied"]
    else:
        yield from (f"{item}ing" for item in _before_ending(word))
        ends = [f"{item}ed" for item in _before_ending(word)]
    if regular:
        yield from ends


def _noun_forms(word: str) -> Iterator[str]:
    if _consonant_y(word):
        yield f"{word[:-1]}ies"
    elif word.endswith(("s", "x", "z", "ch", "sh", "o")):
        yield f"{word}es"
    if not word.endswith(("s", "x", "z", "ch", "sh")):
        yield f"{word}s"


def _adjective_forms(word: str) -> Iterator[str]:
    if word.endswith("e"):
        yield from (f"{word}r", f"{word}st", f"{word}ly", f"{word[:-1]}y")
    elif _consonant_y(word):
        yield from (f"{word[:-1]}ier", f"{word[:-1]}iest", f"{word[:-1]}ily")
    else:
        yield from (f"{item}{ending}" for item in _before_ending(word) for ending in ("er", "est"))
        yield f"{word}ly"


_FORMS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "verbs": _verb_forms,
    "nouns": _noun_forms,
    "adjectives": _adjective_forms,
}


def _consonant_y(word: str) -> bool:
    return word.endswith("y") and word[-2:-1] not in tuple("aeiou")


def _before_ending(word: str) -> tuple[str, ...]:
    """The stem before `ed`, `ing` or `er`: with a doubled consonant (`hop`), unchanged (`help`), or either (`visit`)."""
    if re.fullmatch(r"(?:[^aeiou]|qu)*[aeiouy][^aeiouwxy]", word):
        return (word + word[-1],)
    return (word, word + word[-1]) if re.search(r"[^aeiou][aeiouy][^aeiouwxy]$", word) else (word,)


@cache
def _lists() -> dict[str, frozenset[str]]:
    return {part: frozenset(word_list(part)) for part in ("verbs", "nouns", "adjectives")}


@cache
def _function_words() -> frozenset[str]:
    return frozenset(word_list("function_words"))


@cache
def _bases() -> dict[str, str]:
    """The base of each irregular form."""
    text = files("textbookgen_tinystories").joinpath("lists/irregular.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {form: base for base, *forms in lines for form in forms}


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer  # type: ignore[import-untyped]

    stemmer: _Stemmer = snowballstemmer.stemmer("english")
    return stemmer
