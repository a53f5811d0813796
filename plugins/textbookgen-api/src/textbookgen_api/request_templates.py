"""Templates of requests: text with `{slots}` for values, and optional phrases in `[brackets]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Phrase:
    """A piece of a request. An `optional` one can be left out together with its values."""

    text: str
    optional: bool

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the parameters that the phrase gives values for."""
        return tuple(_SLOT.findall(self.text))

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the phrase with values in its slots."""
        return _SLOT.sub(lambda slot: values[slot[1]], self.text)


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
