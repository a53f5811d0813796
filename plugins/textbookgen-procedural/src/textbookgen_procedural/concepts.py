"""The concepts that pages teach, read from `data/concepts.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files

from textbookgen_procedural.snippets import Snippet


@dataclass
class Concept:
    """What is said about one concept; `practice` names primitives whose worked functions fit it."""

    name: str
    practice: tuple[str, ...]
    definitions: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)
    comparisons: list[str] = field(default_factory=list)
    pitfalls: list[str] = field(default_factory=list)
    snippets: list[Snippet] = field(default_factory=list)


@cache
def concepts() -> dict[str, Concept]:
    """Every concept by its name, in the order of the file."""
    text = files("textbookgen_procedural").joinpath("data/concepts.txt").read_text(encoding="utf-8")
    return {concept.name: concept for concept in _read(text)}


def _read(text: str) -> Iterator[Concept]:
    for block in text.split("\n== ")[1:]:
        head, *lines = block.splitlines()
        name, _, practice = head.partition(" | ")
        concept = Concept(name, tuple(practice.split()))
        said = {"d": concept.definitions, "e": concept.explanations, "a": concept.comparisons, "p": concept.pitfalls}
        for line in lines:
            mark, rest = line[:1], line[1:].strip()
            if mark in said:
                said[mark].append(rest)
            elif mark == "s":
                concept.snippets.append(_opening(rest))
            elif mark == "|":
                last = concept.snippets[-1]
                concept.snippets[-1] = Snippet(last.lead, last.slots, f"{last.code}{line[2:]}\n")
        yield concept


def _opening(rest: str) -> Snippet:
    lead, _, slots = rest.partition("::")
    pairs = (slot.split("=") for slot in slots.split())
    return Snippet(lead.strip(), tuple((slot, kind) for slot, kind in pairs), "")


def topics() -> tuple[str, ...]:
    """The topics known by name."""
    return tuple(concepts())


@cache
def concept_for(topic: str) -> Concept:
    """The concept of this name, or else the one whose text is nearest to the topic's words, or else any, always the same."""
    known = concepts()
    wanted = topic.strip().lower()
    if wanted in known:
        return known[wanted]
    stems = set(_stems(wanted))
    scores = {name: len(stems & named) * 4 + len(stems & said) for name, (named, said) in _vocabularies().items()}
    best = max(scores.values())
    near = [known[name] for name, score in scores.items() if score == best]
    return near[int.from_bytes(sha256(wanted.encode()).digest()[:4], "big") % len(near)]


@cache
def _vocabularies() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """The words of each concept's name, and those of its sentences."""
    told = {name: " ".join((*item.definitions, *item.explanations, *item.practice)) for name, item in concepts().items()}
    return {name: (frozenset(_stems(name)), frozenset(_stems(text))) for name, text in told.items()}


def _stems(text: str) -> list[str]:
    """Words of four letters or more, without the endings that tell forms of one word apart."""
    return [re.sub(r"(?:ies|es|s|ing|ed)$", "", word) for word in re.findall(r"[a-z]{4,}", text.lower()) if word not in _COMMON]


_COMMON = frozenset(
    ("with", "when", "that", "this", "from", "what", "which", "their", "than", "into", "number", "numbers", "list", "lists")
)
