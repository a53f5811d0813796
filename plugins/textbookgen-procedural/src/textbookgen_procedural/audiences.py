"""Readers of pages: how each is addressed, the words of its examples, and what concepts are good for in its daily life."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from textbookgen_procedural.data_files import read_lists

#: How much a page assumes: simple explains every term of its code, technical none.
Register = Literal["simple", "plain", "technical"]


@dataclass(frozen=True)
class Audience:
    """One kind of reader, from `data/audiences.txt`.

    Attributes:
        name: its heading in the file.
        register: how much it knows.
        matches: words by which a description is recognized; `*` for all others.
        words: lower-case words for its examples.
        openings: sentences before an explanation.
        uses: for each family of concepts, what it is good for.
    """

    name: str
    register: Register
    matches: tuple[str, ...]
    words: tuple[str, ...]
    openings: tuple[str, ...]
    uses: dict[str, str]


@cache
def audiences() -> tuple[Audience, ...]:
    """Return every audience, the general one last."""
    return tuple(_parse(name, lines) for name, lines in read_lists("audiences").items())


def _parse(name: str, lines: tuple[str, ...]) -> Audience:
    facts: dict[str, list[str]] = {}
    for line in lines:
        key, _, text = line.partition(" ")
        facts.setdefault(key, []).append(text)
    uses = {key: texts[0] for key, texts in facts.items() if key not in ("match", "register", "words", "opening")}
    matches, words = facts["match"][0].split(), facts["words"][0].split()
    return Audience(name, cast(Register, facts["register"][0]), tuple(matches), tuple(words), tuple(facts["opening"]), uses)


@cache
def audience_for(description: str) -> Audience:
    """Return the audience with most words in a description (of several, the first word decides), or the general one."""
    words = re.findall(r"[a-z]+", description.lower())

    def rank(audience: Audience) -> tuple[int, int]:
        places = [words.index(match.lower()) for match in audience.matches if match.lower() in words]
        return len(places), -min(places, default=0)

    *special, general = audiences()
    best = max(special, key=rank)
    return best if rank(best)[0] else general
