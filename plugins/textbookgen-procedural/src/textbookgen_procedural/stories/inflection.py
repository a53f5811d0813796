"""Forms of words: the past tense of verbs, and `a` or `an`."""

from __future__ import annotations

import re

from textbookgen_procedural.wordlists import words

_IRREGULAR = dict(pair.split(":") for pair in words("irregular"))
_DOUBLED = frozenset(words("doubled"))
_SILENT = re.compile(r"(?:hour|honest|heir|honor)")
_SOUNDED = re.compile(r"(?:one\b|once|us[eu]|uni[^nm]|eu|u[bkt][aeiou])")


def past(verb: str) -> str:
    """The past tense of a verb."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if verb in _DOUBLED else f"{verb}ed"


def article(word: str) -> str:
    """`a` or `an`, whichever the word takes."""
    lowered = word.lower()
    if _SILENT.match(lowered):
        return "an"
    return "an" if lowered[:1] in "aeiou" and not _SOUNDED.match(lowered) else "a"


_ARTICLE = re.compile(r"\b([Aa])n? (\w+)")


def mend_articles(text: str) -> str:
    """The text with each `a` before a vowel made `an`, and the other way round."""
    return _ARTICLE.sub(lambda match: f"{match[1]}{article(match[2])[1:]} {match[2]}", text)
