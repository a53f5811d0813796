"""Plots, sentences and word classes of stories, read from `data/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from textbookgen_procedural.data_files import read_lines, read_lists


@dataclass
class Plot:
    """One plot: its `lines` by the letter that `data/story_plots.txt` explains."""

    name: str
    lines: dict[str, list[str]] = field(default_factory=dict)


@cache
def plots() -> tuple[Plot, ...]:
    """Return every plot, in the order of the file."""
    plots: list[Plot] = []
    for line in read_lines("story_plots"):
        if line.startswith("== "):
            plots.append(Plot(line[3:]))
        else:
            letter, rest = line[0], line[2:]
            plots[-1].lines.setdefault(letter, []).extend(rest.split("|") if letter in "tl" else [rest])
    return tuple(plots)


def story_sentences() -> Mapping[str, tuple[str, ...]]:
    """Return the sentences that any story may contain, by their place in it."""
    return read_lists("story_sentences")


@cache
def word_classes() -> Mapping[str, frozenset[str]]:
    """Return words by how they are used in a sentence."""
    return {name: frozenset(" ".join(lines).split()) for name, lines in read_lists("word_classes").items() if name != "odd"}


@cache
def odd_adjectives() -> Mapping[str, str]:
    """Return adjectives that fit few sentences, each with one that it fits."""
    return _pairs(read_lists("word_classes")["odd"])


@cache
def verb_complements() -> Mapping[str, str]:
    """Return what follows a verb that needs a complement."""
    return _pairs(read_lines("verb_complements"))


@cache
def verb_subjects() -> Mapping[str, str]:
    """Return the subject of each verb whose subject is not a person."""
    return _pairs(read_lines("verb_subjects"))


def _pairs(lines: Iterable[str]) -> dict[str, str]:
    return {word: rest for word, _, rest in (line.partition(": ") for line in lines)}
