"""Inflection: the past tense of verbs, and the choice between `a` and `an`."""

from __future__ import annotations

import re

from textbookgen_procedural.data_files import words

_IRREGULAR = dict(pair.split(":") for pair in words("irregular"))
_DOUBLED = frozenset(words("doubled"))
_SILENT_H = re.compile(r"(?:hour|honest|heir|honor)")
_CONSONANT_SOUND = re.compile(r"(?:one\b|once|us[eu]|uni[^nm]|eu|u[bkt][aeiou])")


def past(verb: str) -> str:
    """Return the past tense of a verb."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if verb in _DOUBLED else f"{verb}ed"


def article(word: str) -> str:
    """Return the indefinite article of a word, `a` or `an`."""
    lowered = word.lower()
    if _SILENT_H.match(lowered):
        return "an"
    return "an" if lowered[:1] in "aeiou" and not _CONSONANT_SOUND.match(lowered) else "a"


_ARTICLE = re.compile(r"\b([Aa])n? (\w+)")


def fix_articles(text: str) -> str:
    """Return a text with every indefinite article corrected."""
    return _ARTICLE.sub(lambda match: f"{match[1]}{article(match[2])[1:]} {match[2]}", text)
