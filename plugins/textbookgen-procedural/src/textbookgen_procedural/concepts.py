"""Concepts that pages teach, read from `data/concepts/`, and the concept for a topic."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files

from textbookgen_procedural.code_snippets import Snippet
from textbookgen_procedural.data_files import read_text

#: Words that a topic may have around the name of what it is about.
_FRAME = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "with",
        "and",
        "to",
        "for",
        "how",
        "python",
        "introduction",
        "basics",
        "using",
        "about",
    )
)


@dataclass
class Concept:
    """The material about one concept.

    Attributes:
        name: what it is called; also a topic.
        family: the file it is from, such as `text` or `sorting`.
        practice: primitives whose functions illustrate it; may be empty.
        topics: further topics that it is what they are about.
        definitions: sentences that define it; a page has one.
        explanations: sentences that explain it.
        comparisons: comparisons with everyday life.
        pitfalls: common mistakes.
        notes: sentences for readers who know programming or mathematics.
        snippets: programs about it.
    """

    name: str
    family: str
    practice: tuple[str, ...]
    topics: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)
    comparisons: list[str] = field(default_factory=list)
    pitfalls: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    snippets: list[Snippet] = field(default_factory=list)


@cache
def concepts() -> dict[str, Concept]:
    """Return every concept by its name, in alphabetical order."""
    names = sorted(
        path.name.removesuffix(".txt") for path in files("textbookgen_procedural").joinpath("data/concepts").iterdir()
    )
    return {concept.name: concept for family in names for concept in _parse(family)}


def _parse(family: str) -> Iterator[Concept]:
    for block in f"\n{read_text(f'concepts/{family}')}".split("\n== ")[1:]:
        head, *lines = block.splitlines()
        name, _, practice = head.partition("|")
        concept = Concept(name.strip(), family, tuple(practice.split()))
        sentences = {
            "d": concept.definitions,
            "e": concept.explanations,
            "a": concept.comparisons,
            "p": concept.pitfalls,
            "x": concept.notes,
        }
        for line in filter(None, lines):
            mark, rest = line[:1], line[1:].strip()
            if mark in sentences:
                sentences[mark].append(rest)
            elif mark == "t":
                concept.topics += (topic.strip() for topic in rest.split(";"))
            elif mark == "s":
                concept.snippets.append(_parse_introduction(rest))
            elif mark == "w":
                concept.snippets[-1] = replace(concept.snippets[-1], variant_introduction=rest)
            else:
                concept.snippets[-1] = concept.snippets[-1].with_line(line[2:])
        yield concept


def _parse_introduction(rest: str) -> Snippet:
    introduction, _, slots = rest.partition("::")
    pairs = (slot.split("=", 1) for slot in slots.split())
    return Snippet(introduction.strip(), tuple((slot, kind) for slot, kind in pairs))


def topics() -> tuple[str, ...]:
    """Return the topics that pages can be about: the names of the concepts and their further topics, sorted."""
    return tuple(sorted(_by_topic()))


@cache
def _by_topic() -> dict[str, Concept]:
    return {topic: concept for concept in concepts().values() for topic in (concept.name, *concept.topics)}


@cache
def concept_for(topic: str) -> Concept | None:
    """Return the concept that a topic is about, in other words or another form of them (`Rotating a List`); None if unknown."""
    known = _by_topic()
    wanted = " ".join(topic.lower().split())
    by_name = {name.lower(): concept for name, concept in known.items()}
    if wanted in by_name:
        return by_name[wanted]
    stems = _stems(wanted)
    return next((concept for name, concept in known.items() if stems and _stems(name) == stems), None)


def nearest_topics(topic: str) -> list[str]:
    """Return up to three known topics that are spelled most like an unknown one."""
    return difflib.get_close_matches(topic.lower(), topics(), 3, 0.4)


def _stems(text: str) -> frozenset[str]:
    """Return the words of a text without articles and the like, and without the endings of plurals and verb forms."""
    words = (word for word in re.findall(r"[a-z]+", text.lower()) if word not in _FRAME)
    return frozenset(re.sub(r"(?<=\w{3})(?:ies|es|s|ing|e|y)$", "", word) for word in words)
