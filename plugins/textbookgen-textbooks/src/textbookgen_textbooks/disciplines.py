"""Disciplines by kind, and the styles and audiences of sections that suit each kind."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from textbookgen_textbooks.word_lists import entries_by_heading, list_entries


class Fitting(NamedTuple):
    """A style or an audience, what it requires of the text, and the kinds of disciplines that it suits (none for all)."""

    name: str
    requirement: str
    kinds: frozenset[str]


def kind_of(discipline: str) -> str | None:
    """Return the kind of a discipline; None if the plugin does not list it."""
    return _kinds().get(" ".join(discipline.lower().split()))


def disciplines() -> tuple[str, ...]:
    """Return the disciplines that the plugin lists."""
    return tuple(_kinds())


def styles_for(discipline: str) -> tuple[Fitting, ...]:
    """Return the styles that suit a discipline; for one that is not listed, those that suit all."""
    return _fitting("section_styles", kind_of(discipline))


def audiences_for(discipline: str) -> tuple[Fitting, ...]:
    """Return the audiences that suit a discipline; for one that is not listed, those that suit all."""
    return _fitting("reader_needs", kind_of(discipline))


@cache
def _kinds() -> dict[str, str]:
    return {name: kind for kind, names in entries_by_heading("disciplines").items() for name in names}


@cache
def _fitting(list_name: str, kind: str | None) -> tuple[Fitting, ...]:
    return tuple(item for item in _entries(list_name) if not item.kinds or kind in item.kinds)


@cache
def _entries(list_name: str) -> tuple[Fitting, ...]:
    rows = [[field.strip() for field in line.split("|")] for line in list_entries(list_name)]
    return tuple(
        Fitting(name, text, frozenset() if kinds == "all" else frozenset(kinds.split(", "))) for name, text, kinds in rows
    )
