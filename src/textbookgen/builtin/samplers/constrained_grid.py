"""The combinations of fields' values without those that rules forbid: counted and found by number, none of them listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

Rules = frozenset[int]


class ConstrainedGrid:
    """Allowed combinations, numbered from 0.

    A combination is forbidden if for one rule each of its fields has one of the rule's values. Fields are fixed one after
    the other; what is remembered on the way is which rules can still come true, so a grid of billions costs as little as
    one of ten unless its rules are many and entangled.

    Raises:
        ValueError: a rule names a field or a value that is not there, or nothing is allowed.
    """

    def __init__(self, fields: Mapping[str, Sequence[Any]], never: Sequence[Mapping[str, Any]] = ()) -> None:
        self.fields = {name: tuple(values) for name, values in fields.items()}
        self._names = list(self.fields)
        self._rules = [_checked(rule, self.fields) for rule in never]
        self._last = [max(self._names.index(name) for name in rule) for rule in self._rules]
        self._counts: dict[tuple[int, Rules], int] = {}
        self._groups: dict[tuple[int, Rules], list[tuple[Rules, list[int]]]] = {}
        self._all: Rules = frozenset(range(len(self._rules)))
        if not len(self):
            raise ValueError("`never` forbids every combination")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConstrainedGrid) and (self.fields, self._rules) == (other.fields, other._rules)

    __hash__ = None  # type: ignore[assignment]  # values may be lists

    def __len__(self) -> int:
        return self._count(0, self._all)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Combination `number`: a value for each field."""
        if not self._rules:
            return self._free(number)
        result, open_rules = {}, self._all
        for place, name in enumerate(self._names):
            for still, indices in self._grouped(place, open_rules):
                item = self._count(place + 1, still)
                if number < item * len(indices):
                    index, number = divmod(number, item)
                    result[name], open_rules = self.fields[name][indices[index]], still
                    break
                number -= item * len(indices)
            else:
                raise IndexError(f"there are {len(self)} combinations")
        return result

    def _free(self, number: int) -> dict[str, Any]:
        result = {}
        for name, values in self.fields.items():
            number, index = divmod(number, len(values))
            result[name] = values[index]
        return result

    def _count(self, place: int, open_rules: Rules) -> int:
        """How many ways there are to fix the fields from `place` on, if these rules can still come true."""
        if any(self._last[rule] < place for rule in open_rules):
            return 0
        if not open_rules:
            return prod(len(values) for values in list(self.fields.values())[place:])
        key = place, open_rules
        if key not in self._counts:
            self._counts[key] = sum(
                len(indices) * self._count(place + 1, still) for still, indices in self._grouped(place, open_rules)
            )
        return self._counts[key]

    def _grouped(self, place: int, open_rules: Rules) -> list[tuple[Rules, list[int]]]:
        """The values of a field by the rules that can still come true once one of them is taken."""
        key = place, open_rules
        if key not in self._groups:
            name, groups = self._names[place], dict[Rules, list[int]]()
            for index in range(len(self.fields[name])):
                still = frozenset(
                    rule for rule in open_rules if name not in self._rules[rule] or index in self._rules[rule][name]
                )
                groups.setdefault(still, []).append(index)
            self._groups[key] = list(groups.items())
        return self._groups[key]


def _checked(rule: Mapping[str, Any], fields: Mapping[str, Sequence[Any]]) -> dict[str, set[int]]:
    """A rule as the indices of its values."""
    if not rule:
        raise ValueError("a rule of `never` must name a field")
    result: dict[str, set[int]] = {}
    for name, wanted in rule.items():
        if name not in fields:
            raise ValueError(f"`never` names '{name}', and there is no such field")
        listed = wanted if isinstance(wanted, list | tuple) else [wanted]
        if unknown := [value for value in listed if value not in fields[name]]:
            raise ValueError(f"`never` names {unknown[0]!r}, which is no value of `{name}`")
        result[name] = {index for index, value in enumerate(fields[name]) if value in listed}
    return result
