"""Parameters of functions: random values that their JSON schema allows, and how users write these values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Literal

from textbookgen import RunError
from textbookgen.api.hashing import stable_hash
from textbookgen_api.request_templates import choose_words

#: Which of the values, phrasings or functions are drawn: all, or one of two disjoint sets, for training and for tests.
Split = Literal["all", "seen", "unseen"]

_INVENTED_SHARE = 0.5  # of values, where there are examples too
_MAX_TRIES = 1_000
_UNSEEN_ONE_IN = 5
_FIRST_DAY = date(2025, 1, 1)
_DAYS = 730


def is_unseen(name: str, value: Any) -> bool:
    """Return whether something belongs to the fifth that is kept out of training data.

    It depends on its two arguments only: on the name of a parameter and a value, or on a function and a phrasing.
    """
    return stable_hash(f"{name}/{value}") % _UNSEEN_ONE_IN == 0


def in_split(name: str, value: Any, split: Split) -> bool:
    """Return whether something belongs to a split; see `is_unseen`."""
    return split == "all" or is_unseen(name, value) == (split == "unseen")


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        name: its name.
        schema: its JSON schema.
        required: whether a call requires it.
        lists: lists of words that `examples` and `x-invented` refer to.
    """

    name: str
    schema: Mapping[str, Any]
    required: bool
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_free_text(self) -> bool:
        """Whether its values are texts of the user's choice, which calls repeat as the request has them."""
        return self.schema.get("type") == "string" and not self.schema.get("enum") and self.schema.get("format") != "date"

    def draw(self, rng: Random, values: Split = "all") -> Any:
        """Return a random value that the schema allows: from `enum` or `examples`, within bounds, a date or a Boolean.

        Args:
            rng: source of randomness.
            values: `seen` and `unseen` split the values of parameters with many values into two disjoint sets; enums,
                Booleans, arrays, and values with `x-words` (which cannot be known without examples, as that `half an hour`
                is 30) are drawn as they are. Where there are `examples` and also `x-invented` values or a
                `pattern`, half of the seen values are invented, so that a model learns to copy values instead of memorizing
                them; unseen values are always examples.

        Raises:
            RunError: the schema does not determine any values, or there are none in this set.
        """
        is_split = values != "all" and not self.schema.get("enum") and self.schema.get("type") not in ("boolean", "array")
        for _ in range(_MAX_TRIES):
            value = self._draw(rng, values)
            if not is_split or self._has_own_words(value) or in_split(self.name, value, values):
                return value
        raise RunError(f"parameter `{self.name}` has no {values} values", hint="add `examples`, or widen its bounds")

    def _draw(self, rng: Random, values: Split) -> Any:
        can_invent = bool(self.schema.get("x-invented") or self.schema.get("pattern"))
        if can_invent and values != "unseen" and (not self.schema.get("examples") or rng.random() < _INVENTED_SHARE):
            if self.schema.get("x-invented"):
                return choose_words(rng.choice(self.schema["x-invented"]), self.lists, rng)
            return _match_of(str(self.schema["pattern"]), rng)
        return _random_value(self.schema, rng, self.name, self.lists)

    def _has_own_words(self, value: Any) -> bool:
        return json.dumps(value).strip('"') in self.schema.get("x-words", {})

    def wordings(self, value: Any) -> tuple[str, ...]:
        """Return the ways in which users write a value: by the schema's `x-words` and `x-forms`, or else as it is."""
        if special := self.schema.get("x-words", {}).get(json.dumps(value).strip('"'), ()):
            return (special,) if isinstance(special, str) else tuple(map(str, special))
        return tuple(str(form).replace("{}", _plain(value)) for form in self.schema.get("x-forms", ("{}",)))

    def words(self, value: Any, rng: Random) -> tuple[str, str]:
        """Return one of the ways in which users write a value, and the bare value."""
        return rng.choice(self.wordings(value)), _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        items = [str(item) for item in value]
        return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
    return str(value)


def _match_of(pattern: str, rng: Random) -> str:
    """A random string that matches a regular expression."""
    from rstr import Rstr

    return str(Rstr(rng).xeger(pattern))


def _random_value(schema: Mapping[str, Any], rng: Random, name: str, lists: Mapping[str, tuple[str, ...]]) -> Any:
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    if schema.get("examples"):
        value = rng.choice(schema["examples"])
        return choose_words(value, lists, rng) if isinstance(value, str) else value
    match schema.get("type"):
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            step = int(schema.get("multipleOf", 1))
            low, high = -(-int(schema.get("minimum", 1)) // step), int(schema.get("maximum", 100)) // step
            return step * rng.randint(low, high)
        case "number":
            return round(rng.uniform(float(schema.get("minimum", 0)), float(schema.get("maximum", 100))), 1)
        case "array":
            count = rng.randint(int(schema.get("minItems", 1)), int(schema.get("maxItems", 3)))
            items = [_random_value(schema.get("items", {}), rng, name, lists) for _ in range(count)]
            return [item for place, item in enumerate(items) if item not in items[:place]]
        case "string" if schema.get("format") == "date":
            return (_FIRST_DAY + timedelta(days=rng.randrange(_DAYS))).isoformat()
        case "string" if "pattern" in schema:
            return _match_of(str(schema["pattern"]), rng)
    raise RunError(
        f"the schema of parameter `{name}` does not determine its values", hint="add `enum`, `examples` or a `pattern`"
    )
