"""Summaries and grades of stories, from measures of their sentences, words and names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from textbookgen_procedural.stories import abstract_of
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply
from textbookgen_procedural.tasks.text_analysis import content_words

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]+[\"\u201d]?")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b")
_ENDING = re.compile(
    r"\b(?:happy|home|again|friends|glad|ever after|smiled|learned|sorry|never|end|night|hug)\b", re.IGNORECASE
)
_REFERENCE = re.compile(r"\W*(?:\w+ )?(?:he|she|it|they|his|her|then|but|so|and)\b", re.IGNORECASE)
_MAX_SUMMARY_WORDS = 45


def summary(rng: Random, draw: Draw) -> str:
    """Return an abstract of a story by the embedded teacher, from its plot, and the first and last sentence of another one.

    Raises:
        RequestRefused: the draw has no document.
    """
    text = document_text(draw, "summary")
    if abstract := abstract_of(text):
        return abstract
    sentences = [item.strip() for item in _SENTENCE.findall(text)] or [text.strip()]
    chosen = list(dict.fromkeys([sentences[0], sentences[-1]]))
    return " ".join(" ".join(chosen).split()[:_MAX_SUMMARY_WORDS])


@dataclass(frozen=True)
class StoryMeasures:
    """Measures of a story; shares are between 0 and 1."""

    sentences: int
    well_formed: float  # share of sentences
    repeated: float  # share of 4-grams that occur earlier
    distinct: float  # share of distinct words
    new_names: float  # share of names that the beginning does not introduce
    cohesion: float  # share of sentences linked to the one before
    has_ending: bool
    sentence_length: float  # mean number of words


def measure(document: Mapping[str, Any]) -> StoryMeasures:
    """Return the measures of a story, or of the completion of one."""
    beginning = str(document.get("tinystories.beginning") or "")
    text = str(document.get("tinystories.completion") or document.get("text") or "")
    its_sentences = [item.strip() for item in _SENTENCE.findall(text)] or [text.strip()]
    words = re.findall(r"[a-z']+", text.lower())
    names = set(_NAME.findall(text))
    known = set(re.findall(r"[A-Z][a-z]+", beginning)) if beginning else set(_NAME.findall(text[: len(text) // 2]))
    grams = [tuple(words[start : start + 4]) for start in range(len(words) - 3)]
    links = [_is_linked(one, other) for one, other in pairwise(its_sentences)]
    return StoryMeasures(
        sentences=len(its_sentences),
        well_formed=sum(_is_well_formed(item) for item in its_sentences) / len(its_sentences),
        repeated=1 - len(set(grams)) / len(grams) if grams else 0.0,
        distinct=len(set(words)) / max(len(words), 1),
        new_names=len(names - known) / max(len(names), 1),
        cohesion=sum(links) / max(len(links), 1),
        has_ending=bool(_ENDING.search(" ".join(its_sentences[-2:]))),
        sentence_length=len(words) / max(len(its_sentences), 1),
    )


def _is_linked(one: str, other: str) -> bool:
    """Return whether a sentence refers to the one before: by a word, a name, or a pronoun near its start."""
    names = set(_NAME.findall(one)) & set(re.findall(r"[A-Z][a-z]+", other))
    return bool(_REFERENCE.match(other) or names or content_words(one) & content_words(other))


def _is_well_formed(sentence: str) -> bool:
    bare = sentence.lstrip("\"'\u201c ")
    return bool(bare) and bare[0].isupper() and not re.search(r"\b(\w+) \1\b", bare.lower())


def assess(rng: Random, draw: Draw) -> str:
    """Return the measures of the story in words.

    Raises:
        RequestRefused: the draw has no document.
    """
    document_text(draw, "assess-story")
    measures = measure(draw["document"])
    parts = ["The sentences are well formed." if measures.well_formed > 0.9 else "Some sentences are not well formed."]
    parts.append("It repeats itself." if measures.repeated > 0.1 else "It does not repeat itself.")
    parts.append(
        "People come up that nobody spoke of." if measures.new_names > 0.5 else "It stays with the people it began with."
    )
    parts.append("It comes to an end." if measures.has_ending else "It stops without an end.")
    return " ".join(parts)


def grade(rng: Random, draw: Draw) -> str:
    """Return grades from 1 to 10 for grammar, creativity, consistency and plot, and the age group of the writer.

    Raises:
        RequestRefused: the draw has no document.
    """
    document_text(draw, "grade-story")
    measures = measure(draw["document"])
    age = 1 + sum(measures.sentence_length >= bound for bound in (6, 8, 10, 13))
    return json_reply(
        grammar=_points(measures.well_formed, 0.5, 1.0),
        creativity=_points(measures.distinct - measures.repeated, 0.1, 0.7),
        consistency=_points(1 - 0.6 * measures.new_names - measures.repeated, 0.0, 1.0),
        plot=_points(0.7 * measures.cohesion + 0.2 * measures.has_ending + 0.1 * (measures.sentences >= 5), 0.0, 1.0),
        age="ABCDEF"[age],
    )


def _points(value: float, low: float, high: float) -> int:
    """Return 1 for a value at or below `low`, 10 at or above `high`, and in proportion between."""
    return 1 + round(9 * min(max((value - low) / (high - low), 0.0), 1.0))
