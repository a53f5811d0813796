"""The word lists that come with the plugin, as they are written in `lists/`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files


def _lines(name: str) -> Iterator[str]:
    text = files("textbookgen_textbooks").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of a list, without comments and blank lines."""
    return tuple(_lines(name))


@cache
def sections(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A list with headings (`= HEADING`): each heading with the words under it."""
    result: list[tuple[str, list[str]]] = []
    for line in _lines(name):
        if line.startswith("="):
            result.append((line.removeprefix("=").strip(), []))
        else:
            result[-1][1].extend(line.split())
    return tuple((heading, tuple(words)) for heading, words in result)


@cache
def topics(name: str) -> dict[str, tuple[str, ...]]:
    """A list with headings whose every line is one entry: the entries by heading."""
    result: dict[str, list[str]] = {}
    for line in _lines(name):
        if line.startswith("="):
            current = result.setdefault(line.removeprefix("=").strip(), [])
        else:
            current.append(line)
    return {heading: tuple(entries) for heading, entries in result.items()}
