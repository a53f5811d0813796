"""Word lists that come with the plugin, read from `lists/`.

A list file has one entry per line. Lines that begin with `#` are comments; lines that begin with `=` are headings.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files


@cache
def list_entries(name: str) -> tuple[str, ...]:
    """Return the entries of a list without headings, in order."""
    return tuple(_content_lines(name))


@cache
def words_by_heading(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return pairs of a heading and all whitespace-separated words below it; a heading may occur more than once."""
    sections: list[tuple[str, list[str]]] = []
    for line in _content_lines(name):
        if line.startswith("="):
            sections.append((line.removeprefix("=").strip(), []))
        else:
            sections[-1][1].extend(line.split())
    return tuple((heading, tuple(words)) for heading, words in sections)


@cache
def entries_by_heading(name: str) -> dict[str, tuple[str, ...]]:
    """Return the entries of a list, one per line, by the heading above them."""
    sections: dict[str, list[str]] = {}
    for line in _content_lines(name):
        if line.startswith("="):
            entries = sections.setdefault(line.removeprefix("=").strip(), [])
        else:
            entries.append(line)
    return {heading: tuple(entries) for heading, entries in sections.items()}


def _content_lines(name: str) -> Iterator[str]:
    text = files("textbookgen_textbooks").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
