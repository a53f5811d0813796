"""Sampler for exercises: names of functions that do not exist yet, with concept, difficulty and argument types."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from textbookgen import AcceptedStats, RunError, Sampler
from textbookgen_textbooks.word_lists import list_entries, words_by_heading

_MAX_TRIES = 1_000


class NameObject(NamedTuple):
    """The object of a function name: the noun, the kind of data it denotes, and the Python type of that data."""

    noun: str
    kind: str
    type_hint: str


class Qualifier(NamedTuple):
    """The ending of a function name, and the types of further arguments that it requires."""

    ending: str
    argument_types: tuple[str, ...]


class FunctionNames(Sampler):
    """Draw `function_name`, `concept`, `difficulty` and `argument_types` for one exercise.

    A name is a verb, an object and usually a qualifier (`count_readings_above_limit`). The three fit each other: an object
    has a kind, verbs and qualifiers list the kinds they apply to, and some qualifiers require a further argument.
    `argument_types` are the types of the arguments in order, the object's first.

    phi-1 (arXiv 2306.11644, section 2.2) states that its exercises are diverse "mainly by constraining the function names",
    and not how; the lists and the grammar are ours.
    """

    name: ClassVar[str] = "function-names"

    concepts: tuple[str, ...] = Field((), description="concepts that exercises practise; by default the plugin's 60")
    difficulties: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="difficulties from 1 (easiest) to 5")
    unqualified_share: float = Field(0.15, ge=0, le=1, description="share of names without qualifier, such as `reverse_words`")
    avoid: tuple[str, ...] = Field(
        (), description="names never drawn, in any order of their words, such as the entry points of benchmarks"
    )

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one exercise.

        Raises:
            RunError: a thousand names in a row are in `avoid`.
        """
        avoided = _word_sets(self.avoid)
        for _ in range(_MAX_TRIES):
            name, argument_types = self._name(rng)
            if _word_set(name) not in avoided:
                return {
                    "function_name": name,
                    "concept": rng.choice(self.concepts or list_entries("concepts")),
                    "difficulty": rng.choice(self.difficulties),
                    "argument_types": argument_types,
                }
        raise RunError(f"{_MAX_TRIES:,} function names in a row are in `avoid`", hint="avoid fewer names")

    def _name(self, rng: Random) -> tuple[str, list[str]]:
        target = rng.choice(name_objects())
        verb = rng.choice(verbs(target.kind))
        if rng.random() < self.unqualified_share:
            return f"{verb}_{target.noun}", [target.type_hint]
        qualifier = rng.choice(qualifiers(target.kind))
        return f"{verb}_{target.noun}_{qualifier.ending}", [target.type_hint, *qualifier.argument_types]


@cache
def name_objects() -> tuple[NameObject, ...]:
    """Return every object of the plugin's list."""
    objects = []
    for heading, nouns in words_by_heading("objects"):
        kind, _, type_hint = heading.partition(" : ")
        objects += [NameObject(noun, kind, type_hint) for noun in nouns]
    return tuple(objects)


@cache
def verbs(kind: str) -> tuple[str, ...]:
    """Return the verbs that apply to a kind of object."""
    return tuple(verb for heading, words in words_by_heading("verbs") if kind in heading.split() for verb in words)


@cache
def qualifiers(kind: str) -> tuple[Qualifier, ...]:
    """Return the qualifiers that apply to a kind of object."""
    matches = []
    for heading, endings in words_by_heading("qualifiers"):
        kinds, _, type_hint = heading.partition(" : ")
        if kind in kinds.split():
            matches += [Qualifier(ending, (type_hint,) if type_hint else ()) for ending in endings]
    return tuple(matches)


def _word_set(name: str) -> tuple[str, ...]:
    """The words of a name in alphabetical order, lower-cased."""
    return tuple(sorted(name.lower().split("_")))


@cache
def _word_sets(names: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(map(_word_set, names))
