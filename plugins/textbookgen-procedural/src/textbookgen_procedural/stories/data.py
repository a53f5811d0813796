"""The word lists, plots and moments that stories are made from, read once from `data/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@dataclass
class Plot:
    """One plot: `lines` by their letter, as `data/plots.txt` explains."""

    name: str
    lines: dict[str, list[str]] = field(default_factory=dict)


def _lines(name: str) -> list[str]:
    text = files("textbookgen_procedural").joinpath(f"data/{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def plots() -> tuple[Plot, ...]:
    """Every plot, in the order of the file."""
    result: list[Plot] = []
    for line in _lines("plots"):
        if line.startswith("== "):
            result.append(Plot(line[3:]))
        else:
            letter, rest = line[0], line[2:]
            result[-1].lines.setdefault(letter, []).extend(rest.split("|") if letter in "tl" else [rest])
    return tuple(result)


@cache
def moments() -> Mapping[str, tuple[str, ...]]:
    """Sentences by where they belong."""
    return _headed("moments")


@cache
def word_classes() -> Mapping[str, frozenset[str]]:
    """Words by how they stand in a sentence."""
    return {name: frozenset(" ".join(lines).split()) for name, lines in _headed("words").items() if name != "odd"}


@cache
def odd_adjectives() -> Mapping[str, str]:
    """Adjectives that fit few sentences, each with one that it fits."""
    return _pairs(_headed("words")["odd"])


@cache
def complements() -> Mapping[str, str]:
    """What follows a verb that cannot stand alone."""
    return _pairs(_lines("verbs"))


@cache
def subjects() -> Mapping[str, str]:
    """Who does what people do not do."""
    return _pairs(_lines("subjects"))


def _headed(name: str) -> dict[str, tuple[str, ...]]:
    result: dict[str, list[str]] = {}
    heading = ""
    for line in _lines(name):
        if line.startswith("= "):
            heading = line[2:]
        else:
            result.setdefault(heading, []).append(line)
    return {name: tuple(lines) for name, lines in result.items()}


def _pairs(lines: list[str] | tuple[str, ...]) -> dict[str, str]:
    return {word: rest for word, _, rest in (line.partition(": ") for line in lines)}
