"""Plots, sentences and word classes of stories, read from `data/`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from textbookgen_procedural.data_files import read_lines, read_lists


@dataclass
class Plot:
    """One plot.

    Attributes:
        name: its name.
        classes: classes of nouns that its object can be (`any`: none, a noun comes in elsewhere).
        lines: its lines by the letter that `data/story_plots.txt` explains.
    """

    name: str
    classes: frozenset[str]
    lines: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A sentence through which a required word happens: at the beginning (`b`), with the problem (`p`) or at the end (`e`)."""

    moment: str
    sentence: str


@cache
def plots() -> tuple[Plot, ...]:
    """Return every plot, in the order of the file."""
    plots: list[Plot] = []
    for line in read_lines("story_plots"):
        if line.startswith("== "):
            name, _, classes = line[3:].partition(": ")
            plots.append(Plot(name, frozenset(classes.split())))
        else:
            letter, rest = line[0], line[2:]
            plots[-1].lines.setdefault(letter, []).extend(rest.split("|") if letter in "dl" else [rest])
    return tuple(plots)


def story_sentences() -> Mapping[str, tuple[str, ...]]:
    """Return the sentences that any story may contain, by their place in it."""
    return read_lists("story_sentences")


@cache
def noun_classes(noun: str) -> frozenset[str]:
    """Return the classes of a noun; an unlisted one is a `thing`, unless an event or a place is listed for it."""
    listed = frozenset(name for name, nouns in _nouns().items() if noun in nouns)
    if listed or noun in events("noun") or noun in places():
        return listed
    return frozenset({"thing"})


@cache
def adjective_classes(adjective: str) -> frozenset[str]:
    """Return the classes of an adjective: `on CLASS` if it can describe the object of a plot, and what it says otherwise."""
    return frozenset(name for name, adjectives in _adjectives().items() if adjective in adjectives)


@cache
def places() -> Mapping[str, str]:
    """Return where a story plays for each noun that names a place."""
    return _pairs(read_lists("noun_classes")["place"])


@cache
def events(part_of_speech: str) -> Mapping[str, Event]:
    """Return the event of each word (`noun`, `verb` or `adjective`) that has one."""
    pairs = _pairs(read_lists("word_events")[part_of_speech])
    return {word: Event(*rest.split("|", 1)) for word, rest in pairs.items()}


@cache
def props() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return for adjectives what is done with a small thing that they describe, and such things."""
    pairs = _pairs(read_lines("adjective_props"))
    return {word: (rest.partition("|")[0], tuple(rest.partition("|")[2].split(", "))) for word, rest in pairs.items()}


@cache
def verb_complements() -> Mapping[str, str]:
    """Return what follows a verb that needs a complement."""
    return _pairs(read_lines("verb_complements"))


@cache
def _nouns() -> Mapping[str, frozenset[str]]:
    lists = read_lists("noun_classes")
    return {name: frozenset(" ".join(lines).split()) for name, lines in lists.items() if name != "place"}


@cache
def _adjectives() -> Mapping[str, frozenset[str]]:
    return {name: frozenset(" ".join(lines).split()) for name, lines in read_lists("adjective_classes").items()}


def _pairs(lines: Iterable[str]) -> dict[str, str]:
    return {word: rest for word, _, rest in (line.partition(": ") for line in lines)}
