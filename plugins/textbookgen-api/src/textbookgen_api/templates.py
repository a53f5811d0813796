"""Templates of requests: text with `{slots}`, and `[phrases]` that can be left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Phrase:
    """A piece of a request; an `optional` one can be left out, with what it says."""

    text: str
    optional: bool

    @property
    def slots(self) -> tuple[str, ...]:
        """The parameters that the phrase gives."""
        return tuple(_SLOT.findall(self.text))

    def filled(self, words: Mapping[str, str]) -> str:
        """The phrase with words in its slots."""
        return _SLOT.sub(lambda slot: words[slot[1]], self.text)


def phrases(template: str) -> tuple[Phrase, ...]:
    """The phrases of a template such as `Ship {quantity} {product}[ to {city}]`.

    Raises:
        ValueError: brackets do not match, or a brace holds no name.
    """
    result: list[Phrase] = []
    for piece in re.split(r"(\[[^\[\]]*\])", template):
        if piece.startswith("["):
            result.append(Phrase(piece[1:-1], True))
        elif "[" in piece or "]" in piece:
            raise ValueError(f"the brackets of '{template}' do not match")
        elif piece:
            result.append(Phrase(piece, False))
    if any("{" in _SLOT.sub("", item.text) or "}" in _SLOT.sub("", item.text) for item in result):
        raise ValueError(f"a slot of '{template}' is no name in braces")
    return tuple(result)
