"""Templates of requests: text with `{slots}` for values, `(one|of|several)` wordings, and optional phrases in `[brackets]`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

_SLOT = re.compile(r"\{(\w+)(#?)\}")
_CHOICE = re.compile(r"\(([^()|]*(?:\|[^()|]*)+)\)")  # innermost; parentheses without a bar are ordinary text
_WORDS = re.compile(r"<(\w+)>")
_MAX_NESTING = 5


@dataclass(frozen=True)
class Phrase:
    """A piece of a request. An `optional` one can be left out together with its values."""

    text: str
    optional: bool

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the parameters that the phrase gives values for."""
        return tuple(name for name, _ in _SLOT.findall(self.text))


def parse_template(template: str) -> tuple[Phrase, ...]:
    """Split a template such as `Ship {quantity} {product}[ to {city}]` into phrases.

    Raises:
        ValueError: brackets do not match, or braces do not enclose a name.
    """
    result: list[Phrase] = []
    for piece in re.split(r"(\[[^\[\]]*\])", template):
        if piece.startswith("["):
            result.append(Phrase(piece[1:-1], True))
        elif "[" in piece or "]" in piece:
            raise ValueError(f"unbalanced brackets in '{template}'")
        elif piece:
            result.append(Phrase(piece, False))
    if any("{" in _SLOT.sub("", phrase.text) or "}" in _SLOT.sub("", phrase.text) for phrase in result):
        raise ValueError(f"a slot of '{template}' is not a name in braces")
    return tuple(result)


def fill(text: str, values: Mapping[str, tuple[str, str]]) -> str:
    """Return a text with values in its slots.

    Args:
        text: text with slots; `{name}` takes a value in words, `{name#}` takes it bare.
        values: the value of each parameter in words and bare, such as `("40 percent", "40")`.
    """
    return _SLOT.sub(lambda slot: values[slot[1]][1 if slot[2] else 0], text)


def choose_words(template: str, words: Mapping[str, tuple[str, ...]], rng: Random) -> str:
    """Return a template with one of the wordings of each `(one|of|several)`, and a word of each list named in `<angles>`.

    Words of a list can name lists and have several wordings themselves.

    Raises:
        ValueError: there is no such list.
    """
    text = template
    while "<" in text and (match := _WORDS.search(text)):
        text = f"{text[: match.start()]}{rng.choice(_list(match[1], words, template))}{text[match.end() :]}"
    while "|" in text and (choice := _CHOICE.search(text)):
        text = f"{text[: choice.start()]}{rng.choice(choice[1].split('|'))}{text[choice.end() :]}"
    return text


def every_wording(template: str, words: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield versions of a template among which each wording of each choice occurs.

    Raises:
        ValueError: a list of words does not exist.
    """
    text = _insert_lists(template, words)
    sizes = _sizes(text)
    for number in range(math.prod(sizes)):
        version, place = text, number
        for size in sizes:
            version = _CHOICE.sub(lambda choice, n=place % size: (parts := choice[1].split("|"))[n % len(parts)], version)  # type: ignore[misc]
            place //= size
        yield version


def _sizes(text: str) -> list[int]:
    """The largest number of wordings of a choice, for innermost choices and then outwards."""
    sizes: list[int] = []
    while choices := _CHOICE.findall(text):
        sizes.append(max(choice.count("|") + 1 for choice in choices))
        text = _CHOICE.sub("", text)
    return sizes


def _insert_lists(template: str, words: Mapping[str, tuple[str, ...]]) -> str:
    def choice(match: re.Match[str]) -> str:
        entries = _list(match[1], words, template)
        return f"({'|'.join(entries)})" if len(entries) > 1 else entries[0]

    text = template
    for _ in range(_MAX_NESTING):
        text = _WORDS.sub(choice, text)
        if not _WORDS.search(text):
            return text
    raise ValueError(f"the lists of words in '{template}' name each other")


def _list(name: str, words: Mapping[str, tuple[str, ...]], template: str) -> tuple[str, ...]:
    if not words.get(name):
        raise ValueError(f"'{template}' uses a list of words that does not exist: {name}")
    return words[name]
