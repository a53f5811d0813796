"""Stories read again: summed up, assessed in words, and graded as a student's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from textbookgen_procedural.tasks.facts import Draw, content_words, form, text_of

_SAID = re.compile(r"[^.!?\n]+[.!?]+[\"\u201d]?")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_ENDING = re.compile(
    r"\b(?:happy|home|again|friends|glad|ever after|smiled|learned|sorry|never|end|night|hug)\b", re.IGNORECASE
)
_TAKES_UP = re.compile(r"\W*(?:\w+ )?(?:he|she|it|they|his|her|then|but|so|and)\b", re.IGNORECASE)
_SUMMARY = 45  # words


def summary(rng: Random, draw: Draw) -> str:
    """How the story begins, the first sentence of its middle, and how it ends, in few words."""
    paragraphs = [item for item in text_of(draw, "summary").strip().split("\n\n") if item.strip()]
    firsts = [(_SAID.findall(item) or [item])[0].strip() for item in paragraphs]
    last = (_SAID.findall(paragraphs[-1]) or [paragraphs[-1]])[-1].strip()
    chosen = list(dict.fromkeys([firsts[0], *firsts[1:2], last]))
    while len(" ".join(chosen).split()) > _SUMMARY and len(chosen) > 1:
        chosen.pop(-2 if len(chosen) > 2 else -1)
    return " ".join(" ".join(chosen).split()[:_SUMMARY])


@dataclass(frozen=True)
class Reading:
    """What is measured of a story; shares are between 0 and 1."""

    sentences: int
    well_formed: float
    repeated: float
    different: float
    strangers: float
    cohesion: float
    ends: bool
    length: float


def read(document: Mapping[str, Any]) -> Reading:
    """A story (or how it was gone on with) as it is measured."""
    beginning = str(document.get("tinystories.beginning") or "")
    told = str(document.get("tinystories.completion") or document.get("text") or "")
    said = [item.strip() for item in _SAID.findall(told)] or [told.strip()]
    words = re.findall(r"[a-z']+", told.lower())
    names = set(_NAME.findall(told))
    known = set(re.findall(r"[A-Z][a-z]+", beginning)) if beginning else set(_NAME.findall(told[: len(told) // 2]))
    grams = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    links = [bool(_linked(one, other)) for one, other in pairwise(said)]
    return Reading(
        sentences=len(said),
        well_formed=sum(_well_formed(item) for item in said) / len(said),
        repeated=1 - len(set(grams)) / len(grams) if grams else 0.0,
        different=len(set(words)) / max(len(words), 1),
        strangers=len(names - known) / max(len(names), 1),
        cohesion=sum(links) / max(len(links), 1),
        ends=bool(_ENDING.search(" ".join(said[-2:]))),
        length=len(words) / max(len(said), 1),
    )


def _linked(one: str, other: str) -> bool:
    """Whether a sentence takes up the one before: a word of it, a name, or a pronoun near its start."""
    names = set(_NAME.findall(one)) & set(re.findall(r"[A-Z][a-z]+", other))
    return bool(_TAKES_UP.match(other) or names or content_words(one) & content_words(other))


def _well_formed(sentence: str) -> bool:
    bare = sentence.lstrip("\"'\u201c ")
    return bool(bare) and bare[0].isupper() and not re.search(r"\b(\w+) \1\b", bare.lower())


def assess(rng: Random, draw: Draw) -> str:
    """An assessment in words of what was measured."""
    text_of(draw, "assess-story")
    result = read(draw["document"])
    parts = ["The sentences are well formed." if result.well_formed > 0.9 else "Some sentences are not well formed."]
    parts.append("It repeats itself." if result.repeated > 0.1 else "It does not repeat itself.")
    parts.append(
        "People come up that nobody spoke of." if result.strangers > 0.5 else "It stays with the people it began with."
    )
    parts.append("It comes to an end." if result.ends else "It stops without an end.")
    return " ".join(parts)


def grade(rng: Random, draw: Draw) -> str:
    """Points from 1 to 10 for grammar, creativity, consistency and plot, and the age group of who might have written it."""
    text_of(draw, "grade-story")
    result = read(draw["document"])
    age = 1 + sum(result.length >= bound for bound in (6, 8, 10, 13))
    return form(
        grammar=_points(result.well_formed, 0.5, 1.0),
        creativity=_points(result.different - result.repeated, 0.1, 0.7),
        consistency=_points(1 - 0.6 * result.strangers - result.repeated, 0.0, 1.0),
        plot=_points(0.7 * result.cohesion + 0.2 * result.ends + 0.1 * (result.sentences >= 5), 0.0, 1.0),
        age="ABCDEF"[age],
    )


def _points(value: float, least: float, most: float) -> int:
    return 1 + round(9 * min(max((value - least) / (most - least), 0.0), 1.0))
