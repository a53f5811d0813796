"""Readers of the text files in `data/`: plain lines, lists under headings, and the word and phrase lists."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def read_text(name: str) -> str:
    """Return the text of `data/NAME.txt`."""
    return files("textbookgen_procedural").joinpath(f"data/{name}.txt").read_text(encoding="utf-8")


def read_lines(name: str) -> list[str]:
    """Return the lines of a data file that are neither empty nor comments."""
    return [line for line in read_text(name).splitlines() if line and not line.startswith("#")]


@cache
def read_lists(name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the lines of a data file by the heading (`= HEADING`) they are under."""
    lists: dict[str, list[str]] = {}
    heading = ""
    for line in read_lines(name):
        if line.startswith("= "):
            heading = line[2:]
        else:
            lists.setdefault(heading, []).append(line)
    return {heading: tuple(lines) for heading, lines in lists.items()}


@cache
def words(heading: str) -> tuple[str, ...]:
    """Return the words under a heading of `data/word_lists.txt`, in order."""
    return tuple(" ".join(read_lists("word_lists")[heading]).split())


def phrases(heading: str) -> tuple[str, ...]:
    """Return the lines under a heading of `data/reply_phrases.txt`, in order."""
    return read_lists("reply_phrases")[heading]
