"""What counts as the same word, and which words a small child knows."""

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


def said_in(words: Iterable[str]) -> frozenset[str]:
    """The words of a text, plain; a form that no rule makes stands beside its word (`went` with `go`)."""
    return frozenset(item for word in words for item in (_plain(word), _bases().get(_plain(word))) if item)


def forms_found(word: str, said: frozenset[str]) -> bool:
    """Whether a text that says this holds the word in some form."""
    return not forms_of(word).isdisjoint(said)


@lru_cache(maxsize=1 << 13)
def forms_of(word: str) -> frozenset[str]:
    """A word and its regular forms: those of a verb, a noun or an adjective, as the lists have it, and all if none has it."""
    parts = [part for part in _FORMS if word in _lists()[part]] or list(_FORMS)
    return frozenset({word, *(form for part in parts for form in _FORMS[part](word))})


@cache
def known_stems() -> frozenset[str]:
    """The stems of every word that a small child knows, names not counted."""
    result = {stem(form) for words in _lists().values() for word in words for form in forms_of(word)}
    return frozenset(result | {stem(word) for word in word_list("function_words")})


def unknown(text: str, more: frozenset[str] = frozenset()) -> list[str]:
    """The words of a text, in order and as often as they occur, that a small child does not know.

    Names count as known: those in the list, and words that are capitalised inside a sentence, or always and repeatedly.
    """
    names = frozenset(word_list("names")) | _capitalised(text)
    words = map(str.lower, tokens(text))
    return [word for word in words if not (_known(word) or _plain(word) in names or stem(word) in more)]


@lru_cache(maxsize=1 << 16)
def _known(word: str) -> bool:
    return word in _function_words() or any(item in known_stems() for item in _stems(word))


def _plain(word: str) -> str:
    return _CONTRACTION.sub("", word.lower())


@lru_cache(maxsize=1 << 16)
def _stems(word: str) -> tuple[str, ...]:
    base = _bases().get(_plain(word))
    return (stem(word),) if base is None else (stem(word), stem(base))


def _capitalised(text: str) -> frozenset[str]:
    """Words that are names, for all one can see: capitals inside a sentence, or always capitals and more than once."""
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
    """A word as it stands before `ed`, `ing` or `er`: doubled (`hop`), as it is (`help`), or either (`visit`)."""
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
    """Each irregular form with its word."""
    text = files("textbookgen_tinystories").joinpath("lists/irregular.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {form: base for base, *forms in lines for form in forms}


@cache
def _stemmer() -> _Stemmer:
    import snowballstemmer  # type: ignore[import-untyped]

    stemmer: _Stemmer = snowballstemmer.stemmer("english")
    return stemmer
