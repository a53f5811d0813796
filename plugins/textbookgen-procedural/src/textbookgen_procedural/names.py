"""First names, for people in pages and stories, and names for functions."""

from __future__ import annotations

from random import Random

from textbookgen_procedural.wordlists import words

GIRLS = words("girls")
BOYS = words("boys")
NAMES = GIRLS + BOYS


def function_name(rng: Random) -> str:
    """A name for a function in a page."""
    return f"{rng.choice(words('function verbs'))}_{rng.choice(words('function objects'))}"
