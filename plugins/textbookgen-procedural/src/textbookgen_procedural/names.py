"""First names of people in pages and stories, and names of functions in pages."""

from __future__ import annotations

from random import Random

from textbookgen_procedural.data_files import words

GIRLS = words("girls")
BOYS = words("boys")
NAMES = GIRLS + BOYS


def function_name(rng: Random) -> str:
    """Draw a name for a function in a page."""
    return f"{rng.choice(words('function verbs'))}_{rng.choice(words('function objects'))}"
