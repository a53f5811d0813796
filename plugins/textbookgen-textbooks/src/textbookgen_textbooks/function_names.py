"""Names for functions that nobody has written yet: what keeps a million exercises from being the same hundred."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any, ClassVar

from pydantic import Field

from textbookgen import AcceptedStats, RunError, Sampler
from textbookgen_textbooks.wordlists import lines, sections

_TRIES = 1_000


class FunctionNames(Sampler):
    """Draws `function_name`, `concept`, `difficulty` and `arguments` for one exercise.

    A name is a verb, an object and, mostly, a qualifier (`count_readings_above_limit`). The three are drawn so that they
    suit each other: an object has a type, verbs and qualifiers say which kinds of object they work on, and some
    qualifiers call for a further argument. `arguments` are the types of the arguments in order, the object's first.

    phi-1 (arXiv 2306.11644, section 2.2) says that its exercises are made various "mainly by constraining the function
    names", and does not say how; the lists and the grammar are ours.
    """

    name: ClassVar[str] = "function-names"

    concepts: tuple[str, ...] = Field((), description="concepts that exercises practise; those of the plugin unless given")
    difficulty: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="difficulties to draw from, 1 the easiest")
    plain: float = Field(0.15, ge=0, le=1, description="share of names without a qualifier, such as `reverse_words`")
    avoid: tuple[str, ...] = Field(
        (),
        description="names never drawn, such as entry points of benchmarks, in whatever order their words stand",
    )

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """A name and what goes with it.

        Raises:
            RunError: a thousand names in a row were ones to avoid.
        """
        avoided = _stems(self.avoid)
        for _ in range(_TRIES):
            name, arguments = self._name(rng)
            if _stem(name) not in avoided:
                return {
                    "function_name": name,
                    "concept": rng.choice(self.concepts or lines("concepts")),
                    "difficulty": rng.choice(self.difficulty),
                    "arguments": arguments,
                }
        raise RunError("every function name drawn is one to `avoid`", hint="give fewer names to avoid")

    def _name(self, rng: Random) -> tuple[str, list[str]]:
        noun, kind, type_hint = rng.choice(_objects())
        verb = rng.choice(_verbs(kind))
        if rng.random() < self.plain:
            return f"{verb}_{noun}", [type_hint]
        ending, further = rng.choice(_qualifiers(kind))
        return f"{verb}_{noun}_{ending}", [type_hint, *further]


@cache
def _objects() -> tuple[tuple[str, str, str], ...]:
    """Every object with its kind and type."""
    result = []
    for heading, words in sections("objects"):
        kind, _, type_hint = heading.partition(" : ")
        result += [(word, kind, type_hint) for word in words]
    return tuple(result)


@cache
def _verbs(kind: str) -> tuple[str, ...]:
    return tuple(word for heading, words in sections("verbs") if kind in heading.split() for word in words)


@cache
def _qualifiers(kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The qualifiers that suit a kind of object, each with the types of the arguments it calls for."""
    result = []
    for heading, words in sections("qualifiers"):
        kinds, _, type_hint = heading.partition(" : ")
        if kind in kinds.split():
            result += [(word, (type_hint,) if type_hint else ()) for word in words]
    return tuple(result)


def _stem(name: str) -> tuple[str, ...]:
    """What is left of a name without case, underscores and the order of its words."""
    return tuple(sorted(name.lower().split("_")))


@cache
def _stems(names: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset(map(_stem, names))
