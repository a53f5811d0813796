"""Concepts that pages teach, read from `data/concepts.txt`, and the choice of one for a topic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

from textbookgen_procedural.code_snippets import Snippet
from textbookgen_procedural.data_files import read_text


@dataclass
class Concept:
    """The sentences and snippets about one concept; `practice` names primitives whose functions illustrate it."""

    name: str
    practice: tuple[str, ...]
    definitions: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)
    comparisons: list[str] = field(default_factory=list)
    pitfalls: list[str] = field(default_factory=list)
    snippets: list[Snippet] = field(default_factory=list)


@cache
def concepts() -> dict[str, Concept]:
    """Return every concept by its name, in the order of the file."""
    return {concept.name: concept for concept in _parse(read_text("concepts"))}


def _parse(text: str) -> Iterator[Concept]:
    for block in text.split("\n== ")[1:]:
        head, *lines = block.splitlines()
        name, _, practice = head.partition(" | ")
        concept = Concept(name, tuple(practice.split()))
        sentences = {"d": concept.definitions, "e": concept.explanations, "a": concept.comparisons, "p": concept.pitfalls}
        for line in lines:
            mark, rest = line[:1], line[1:].strip()
            if mark in sentences:
                sentences[mark].append(rest)
            elif mark == "s":
                concept.snippets.append(_parse_introduction(rest))
            elif mark == "|":
                last = concept.snippets[-1]
                concept.snippets[-1] = Snippet(last.introduction, last.slots, f"{last.code}{line[2:]}\n")
        yield concept


def _parse_introduction(rest: str) -> Snippet:
    introduction, _, slots = rest.partition("::")
    pairs = (slot.split("=") for slot in slots.split())
    return Snippet(introduction.strip(), tuple((slot, kind) for slot, kind in pairs), "")


def topics() -> tuple[str, ...]:
    """Return the topics that have a concept of their name."""
    return tuple(concepts())


@cache
def concept_for(topic: str) -> Concept:
    """Return the concept for a topic: that of its name, or the one whose text shares most words with it.

    Ties, and topics without a shared word, are decided by a hash of the topic, so that it always gets the same concept.
    """
    known = concepts()
    wanted = topic.strip().lower()
    if wanted in known:
        return known[wanted]
    stems = set(_stems(wanted))
    vocabularies = _vocabularies().items()
    scores = {name: len(stems & of_name) * 4 + len(stems & of_text) for name, (of_name, of_text) in vocabularies}
    best = max(scores.values())
    nearest = [known[name] for name, score in scores.items() if score == best]
    return nearest[int.from_bytes(sha256(wanted.encode()).digest()[:4], "big") % len(nearest)]


@cache
def _vocabularies() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return the stems of each concept's name, and those of its sentences."""
    texts = {name: " ".join((*item.definitions, *item.explanations, *item.practice)) for name, item in concepts().items()}
    return {name: (frozenset(_stems(name)), frozenset(_stems(text))) for name, text in texts.items()}


def _stems(text: str) -> list[str]:
    """Return the words of four letters or more, without the endings of plurals and verb forms."""
    return [re.sub(r"(?:ies|es|s|ing|ed)$", "", word) for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in _COMMON]


_COMMON = frozenset(
    ("with", "when", "that", "this", "from", "what", "which", "their", "than", "into", "number", "numbers", "list", "lists")
)
