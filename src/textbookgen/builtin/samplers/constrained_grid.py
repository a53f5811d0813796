"""Combinations of field values under exclusion rules: counted and indexed without enumerating them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

Rules = frozenset[int]


class ConstrainedGrid:
    """The allowed combinations of field values, a sequence indexed from 0.

    A combination is excluded if some rule matches it: every field of the rule has one of the rule's values. Values are
    assigned field by field, and the state is the set of rules that can still match; counts are memoised by field and
    state. A grid of billions therefore costs as little as one of ten, unless many rules overlap.

    Args:
        fields: the values of each field.
        never: the rules, each a value or a list of values by field.

    Raises:
        ValueError: a rule names an unknown field or value, or the rules exclude every combination.
    """

    def __init__(self, fields: Mapping[str, Sequence[Any]], never: Sequence[Mapping[str, Any]] = ()) -> None:
        self.fields = {name: tuple(values) for name, values in fields.items()}
        self._names = list(self.fields)
        self._rules = [_as_indices(rule, self.fields) for rule in never]
        self._last = [max(self._names.index(name) for name in rule) for rule in self._rules]
        self._counts: dict[tuple[int, Rules], int] = {}
        self._groups: dict[tuple[int, Rules], list[tuple[Rules, list[int]]]] = {}
        self._all: Rules = frozenset(range(len(self._rules)))
        if not len(self):
            raise ValueError("`never` excludes every combination")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConstrainedGrid) and (self.fields, self._rules) == (other.fields, other._rules)

    __hash__ = None  # type: ignore[assignment]  # values may be lists

    def __len__(self) -> int:
        return self._count(0, self._all)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return combination `number`: a value for each field."""
        if not self._rules:
            return self._unconstrained(number)
        values, open_rules = {}, self._all
        for position, name in enumerate(self._names):
            for still_open, indices in self._group_values(position, open_rules):
                below = self._count(position + 1, still_open)
                if number < below * len(indices):
                    index, number = divmod(number, below)
                    values[name], open_rules = self.fields[name][indices[index]], still_open
                    break
                number -= below * len(indices)
            else:
                raise IndexError(f"index out of range: there are {len(self)} combinations")
        return values

    def _unconstrained(self, number: int) -> dict[str, Any]:
        combination = {}
        for name, values in self.fields.items():
            number, index = divmod(number, len(values))
            combination[name] = values[index]
        return combination

    def _count(self, position: int, open_rules: Rules) -> int:
        """Return the number of allowed assignments of the fields from `position` on, if these rules can still match."""
        if any(self._last[rule] < position for rule in open_rules):
            return 0  # a rule whose fields are all assigned has matched
        if not open_rules:
            return prod(len(values) for values in list(self.fields.values())[position:])
        key = position, open_rules
        if key not in self._counts:
            self._counts[key] = sum(
                len(indices) * self._count(position + 1, still_open)
                for still_open, indices in self._group_values(position, open_rules)
            )
        return self._counts[key]

    def _group_values(self, position: int, open_rules: Rules) -> list[tuple[Rules, list[int]]]:
        """Return the indices of a field's values, grouped by the rules that can still match once one of them is assigned."""
        key = position, open_rules
        if key not in self._groups:
            name, groups = self._names[position], dict[Rules, list[int]]()
            for index in range(len(self.fields[name])):
                still_open = frozenset(
                    rule for rule in open_rules if name not in self._rules[rule] or index in self._rules[rule][name]
                )
                groups.setdefault(still_open, []).append(index)
            self._groups[key] = list(groups.items())
        return self._groups[key]


def _as_indices(rule: Mapping[str, Any], fields: Mapping[str, Sequence[Any]]) -> dict[str, set[int]]:
    """Return a rule with the indices of its values instead of the values."""
    if not rule:
        raise ValueError("a rule of `never` must name at least one field")
    indices: dict[str, set[int]] = {}
    for name, excluded in rule.items():
        if name not in fields:
            raise ValueError(f"`never` names the unknown field '{name}'")
        values = excluded if isinstance(excluded, list | tuple) else [excluded]
        if unknown := [value for value in values if value not in fields[name]]:
            raise ValueError(f"`never` names {unknown[0]!r}, which is not a value of `{name}`")
        indices[name] = {index for index, value in enumerate(fields[name]) if value in values}
    return indices
