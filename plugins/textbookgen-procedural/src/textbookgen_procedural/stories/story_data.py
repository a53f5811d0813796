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
        classes: classes of nouns that its object can be; `any` if it has none.
        peers: whether the friend must be a child.
        lines: its lines by the letter that `data/story_plots.txt` explains.
    """

    name: str
    classes: frozenset[str]
    peers: bool = False
    lines: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """A sentence through which a required word comes into a story, at one of the moments that `data/word_events.txt` lists."""

    moment: str
    sentence: str


@dataclass(frozen=True)
class Place:
    """Where a story plays: the kind of place, which says what can happen there, and the words for it."""

    kind: str
    words: str


#: Letters whose lines in the file hold several values, separated by bars.
_LISTS = frozenset("dlGTNMmw")


@cache
def plots() -> tuple[Plot, ...]:
    """Return every plot, in the order of the file."""
    plots: list[Plot] = []
    for line in read_lines("story_plots"):
        if line.startswith("== "):
            name, _, rest = line[3:].partition(": ")
            classes, _, flags = rest.partition(" |")
            plots.append(Plot(name, frozenset(classes.split()), "peers" in flags))
        else:
            letter, rest = line[0], line[2:]
            plots[-1].lines.setdefault(letter, []).extend(rest.split("|") if letter in _LISTS else [rest])
    return tuple(plots)


def story_sentences() -> Mapping[str, tuple[str, ...]]:
    """Return the sentences that any story may contain, by their place in it."""
    return read_lists("story_sentences")


@cache
def noun_classes(noun: str) -> frozenset[str]:
    """Return the classes of a noun; one that is listed nowhere is a `keepsake`."""
    listed = frozenset(name for name, nouns in _nouns().items() if noun in nouns)
    if listed or any(noun in table for table in (events("noun"), topics("noun"), places(), spots())):
        return listed
    return frozenset({"keepsake"})


@cache
def adjective_classes(adjective: str) -> frozenset[str]:
    """Return the classes of an adjective: `on CLASS` if it can describe the object of a plot, and those of its frames."""
    return frozenset(name for name, adjectives in _adjectives().items() if adjective in adjectives)


@cache
def places() -> Mapping[str, Place]:
    """Return where a story plays for each noun that names a place."""
    pairs = _pairs(read_lists("noun_classes")["place"])
    return {noun: Place(*rest.split("|", 1)) for noun, rest in pairs.items()}


@cache
def spots() -> Mapping[str, tuple[str, str]]:
    """Return for nouns where a lost thing can be found, and the place of such a story, `` if it is the plot's own."""
    pairs = _pairs(read_lists("noun_classes")["spot"])
    return {noun: (rest.partition(" @ ")[0], rest.partition(" @ ")[2]) for noun, rest in pairs.items()}


@cache
def events(part_of_speech: str) -> Mapping[str, tuple[Event, ...]]:
    """Return the sentences of each word (`noun`, `verb` or `adjective`) that has some."""
    pairs = _pairs(read_lists("word_events")[part_of_speech])
    return {word: parse_events(rest) for word, rest in pairs.items()}


@cache
def frames() -> Mapping[str, tuple[tuple[Event, ...], ...]]:
    """Return for each class of adjectives the ways in which one comes in, with ADJ for it and THING for what it describes."""
    return {name: tuple(map(parse_events, lines)) for name, lines in read_lists("adjective_frames").items()}


def parse_events(text: str) -> tuple[Event, ...]:
    """Return the events of a line: MOMENT|SENTENCE, further ones after `||`."""
    return tuple(Event(*part.split("|", 1)) for part in text.split(" || "))


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
def topics(part_of_speech: str) -> Mapping[str, str]:
    """Return for words what a story is about that one of the two tells the other."""
    return _pairs(read_lists("story_topics")[part_of_speech])


@cache
def settings(heading: str) -> Mapping[str, tuple[str, ...]]:
    """Return the values of each kind of place (`places`, `helpers`, `plots`), or of a noun (`homes`, `acts`)."""
    table: dict[str, tuple[str, ...]] = {}
    for kind, _, rest in (line.partition(": ") for line in read_lists("story_settings")[heading]):
        table[kind] = table.get(kind, ()) + tuple(rest.split() if heading == "plots" else rest.split("|"))
    return table


@cache
def kind_of(place: str) -> str:
    """Return the kind of a place: what is there, and who can come by."""
    kinds = {words: kind for kind, listed in settings("places").items() for words in listed}
    return kinds.get(place) or next(item.kind for item in places().values() if item.words == place)


@cache
def _nouns() -> Mapping[str, frozenset[str]]:
    lists = read_lists("noun_classes")
    return {name: frozenset(" ".join(lines).split()) for name, lines in lists.items() if name not in ("place", "spot")}


@cache
def _adjectives() -> Mapping[str, frozenset[str]]:
    return {name: frozenset(" ".join(lines).split()) for name, lines in read_lists("adjective_classes").items()}


def _pairs(lines: Iterable[str]) -> dict[str, str]:
    return {word: rest for word, _, rest in (line.partition(": ") for line in lines)}
