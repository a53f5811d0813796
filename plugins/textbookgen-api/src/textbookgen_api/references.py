"""References: arguments as the numbers of words of the request, so that a small model points at values and need not spell them.

`play①Red②Kites③` is answered by `play_music(artist=②③)`. As with pointer networks (arXiv 1506.03134), a value that was never
seen in training is no harder than another: the model says which words it is, and `resolve_references` puts them in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from textbookgen_api.calls import Call, Plan, Result, write_plan

#: The numbers from 1 to 50, a character each; later words have none.
NUMBERS = "".join(map(chr, (*range(0x2460, 0x2474), *range(0x3251, 0x3260), *range(0x32B1, 0x32C0))))

_WORD = re.compile(r"\d+|[^\W\d_]+(?:['’][^\W\d_]+)*")
_REFERENCE = re.compile(rf"(?<==)([{NUMBERS}])([{NUMBERS}]?)(?=[,)])")
_MAX_COMBINATIONS = 200


@dataclass(frozen=True)
class Reference:
    """The first and the last of the words, from 0, that an argument repeats. Its `repr` is how a call refers to them."""

    first: int
    last: int

    def __repr__(self) -> str:
        return NUMBERS[self.first] + (NUMBERS[self.last] if self.last > self.first else "")


def number_words(request: str) -> str:
    """Return a request with a number after each word instead of a blank: `play①Red②Kites③`.

    Numbers that the request itself has are removed, so that no word of the user can pass for a reference.
    """
    text, pieces, end = _without_numbers(request), [], 0
    for number, word in zip(NUMBERS, _WORD.finditer(text), strict=False):
        pieces += [_without_blanks(text[end : word.start()]), word[0], number]
        end = word.end()
    return "".join([*pieces, text[end:].strip()])


def write_with_references(request: str, plan: Plan, literal: Collection[str] = ()) -> str:
    """Return a plan whose arguments are references to words of the request where the request has the value as it is.

    A value that occurs more than once is referred to where it is closest to the other values of the call.

    Args:
        request: the request.
        plan: the calls that answer it.
        literal: names of arguments that are written out always.
    """
    text = _without_numbers(request)
    words = list(islice(_WORD.finditer(text), len(NUMBERS)))
    return write_plan([Call(call.function, _refer(call, text, words, literal)) for call in plan])


def resolve_references(request: str, calls: str) -> str:
    """Return calls with the words that they refer to in the place of references; figures alone become numbers.

    A reference to a word that the request does not have is left as it is, and is then not a call.
    """
    text = _without_numbers(request)
    words = list(islice(_WORD.finditer(text), len(NUMBERS)))

    def value(match: re.Match[str]) -> str:
        first = NUMBERS.index(match[1])
        last = NUMBERS.index(match[2]) if match[2] else first
        if not first <= last < len(words):
            return match[0]
        said = text[words[first].start() : words[last].end()]
        return str(int(said)) if said.isascii() and said.isdigit() else repr(said)

    return _REFERENCE.sub(value, calls)


def _without_numbers(request: str) -> str:
    return "".join(letter for letter in request if letter not in NUMBERS)


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _refer(call: Call, text: str, words: Sequence[re.Match[str]], literal: Collection[str]) -> dict[str, Any]:
    """The arguments of a call, with references for those values that the request has."""
    places = {
        name: occurrences
        for name, value in call.arguments.items()
        if name not in literal and (occurrences := list(_occurrences(value, text, words)))
    }
    choices = islice(product(*places.values()), _MAX_COMBINATIONS)
    closest = min(choices, key=_spread)
    return {**call.arguments, **dict(zip(places, closest, strict=True))}


def _spread(references: Sequence[Reference]) -> int:
    if not references:
        return 0
    overlaps = sum(one.first <= other.last and other.first <= one.last for one in references for other in references)
    return max(item.last for item in references) - min(item.first for item in references) + 100 * overlaps


def _occurrences(value: Any, text: str, words: Sequence[re.Match[str]]) -> Iterator[Reference]:
    """Where the request has a text or a whole number, from the start of a word to the end of one."""
    if isinstance(value, bool | Result) or not isinstance(value, str | int):
        return
    said = str(value)
    if not said or (isinstance(value, str) and said.isdigit()):
        return  # figures would become a number
    ends = {word.end(): place for place, word in enumerate(words)}
    for place, word in enumerate(words):
        if text.startswith(said, word.start()) and (last := ends.get(word.start() + len(said))) is not None:
            yield Reference(place, last)
