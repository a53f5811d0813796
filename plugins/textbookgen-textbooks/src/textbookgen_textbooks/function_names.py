"""Sampler for exercises: new function names, with concept, difficulty and argument types that fit them."""

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


class Verb(NamedTuple):
    """The verb of a function name, and the action that it states."""

    word: str
    action: str


class Qualifier(NamedTuple):
    """The ending of a function name, and the types of further arguments that it requires."""

    ending: str
    argument_types: tuple[str, ...]


class FunctionNames(Sampler):
    """Draw `function_name`, `concept`, `difficulty` and `argument_types` for one exercise, all of which fit each other.

    A name is a verb, an object and usually a qualifier (`count_readings_above_limit`). The object has a kind; verbs,
    qualifiers and concepts list the kinds and actions that they suit, so that a solution exists that does what the name says
    and practises the concept. `argument_types` are the types of the arguments in order, the object's first.

    phi-1 (arXiv 2306.11644, section 2.2) states that its exercises are diverse "mainly by constraining the function names",
    and not how; the lists and the grammar are ours.
    """

    name: ClassVar[str] = "function-names"
    version: ClassVar[int] = 2

    concepts: tuple[str, ...] = Field(
        (),
        description="concepts that exercises practise; by default those of the plugin, each with the names it suits; concepts "
        "that you add are drawn with any name",
    )
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
            name, argument_types, concept = self._name(rng)
            if _word_set(name) not in avoided:
                return {
                    "function_name": name,
                    "concept": concept,
                    "difficulty": rng.choice(self.difficulties),
                    "argument_types": argument_types,
                }
        raise RunError(f"{_MAX_TRIES:,} function names in a row are in `avoid`", hint="avoid fewer names")

    def _name(self, rng: Random) -> tuple[str, list[str], str]:
        """Draw a name, the types of its arguments, and a concept: first the object, then what suits it."""
        pairs: tuple[tuple[Verb, tuple[str, ...]], ...] = ()
        while not pairs:
            target = rng.choice(name_objects())
            pairs = _verbs_with_concepts(target.kind, self.concepts)
        verb, concepts = rng.choice(pairs)
        concept = rng.choice(concepts)
        endings = qualifiers(target.kind, verb.action)
        if not endings or rng.random() < self.unqualified_share:
            return f"{verb.word}_{target.noun}", [target.type_hint], concept
        qualifier = rng.choice(endings)
        name = f"{verb.word}_{target.noun}_{qualifier.ending}"
        return name, [target.type_hint, *qualifier.argument_types], concept


@cache
def name_objects() -> tuple[NameObject, ...]:
    """Return every object of the plugin's list."""
    objects = []
    for heading, nouns in words_by_heading("objects"):
        kind, _, type_hint = heading.partition(" : ")
        objects += [NameObject(noun, kind, type_hint) for noun in nouns]
    return tuple(objects)


@cache
def verbs(kind: str) -> tuple[Verb, ...]:
    """Return the verbs that apply to a kind of object, with their actions."""
    matches = []
    for heading, words in words_by_heading("verbs"):
        action, _, kinds = heading.partition(" : ")
        if kind in kinds.split():
            matches += [Verb(word, action) for word in words]
    return tuple(matches)


@cache
def qualifiers(kind: str, action: str) -> tuple[Qualifier, ...]:
    """Return the qualifiers that apply to a kind of object and an action."""
    matches = []
    for heading, endings in words_by_heading("qualifiers"):
        kinds, actions, type_hint = (*heading.split(" : "), "")[:3]
        if kind in kinds.split() and _suits(action, actions):
            matches += [Qualifier(ending, (type_hint,) if type_hint else ()) for ending in endings]
    return tuple(matches)


@cache
def concepts_for(kind: str, action: str) -> tuple[str, ...]:
    """Return the concepts of the plugin's list that suit a kind of object and an action."""
    lines = (line.split(" : ") for line in list_entries("concepts"))
    matches = (concept for concept, actions, kinds in lines if _suits(action, actions) and _suits(kind, kinds))
    return tuple(dict.fromkeys(matches))


@cache
def listed_concepts() -> tuple[str, ...]:
    """Return every concept of the plugin's list."""
    return tuple(dict.fromkeys(line.split(" : ")[0] for line in list_entries("concepts")))


def _suits(word: str, words: str) -> bool:
    return words == "*" or word in words.split()


@cache
def _verbs_with_concepts(kind: str, wanted: tuple[str, ...]) -> tuple[tuple[Verb, tuple[str, ...]], ...]:
    """Return the verbs for a kind that have a concept, each with its concepts: all, or the wanted ones.

    A wanted concept that the plugin's list does not have suits every verb.
    """
    foreign = tuple(concept for concept in wanted if concept not in listed_concepts())
    pairs = []
    for verb in verbs(kind):
        listed = tuple(concept for concept in concepts_for(kind, verb.action) if not wanted or concept in wanted)
        if listed or foreign:
            pairs.append((verb, (*listed, *foreign)))
    return tuple(pairs)


def _word_set(name: str) -> tuple[str, ...]:
    """The words of a name in alphabetical order, lower-cased."""
    return tuple(sorted(name.lower().split("_")))


@cache
def _word_sets(names: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(map(_word_set, names))
