"""Mutable plain values that both processes hold: each has one number, and its copies are kept equal.

A list that the tests pass to the program is one list in a shared process: what either side changes, the other sees. With two
processes each has a copy, under the same number. A message carries the content of every copy that changed since the last one,
and the receiver updates its copy in place, so identity and aliases survive. Only as many values are followed as can be compared
in a few hundredths of a millisecond; older ones become independent copies, except the arguments of the call in progress.
"""

from __future__ import annotations

import operator
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

#: Plain types whose values can change while a copy of them is in the other process.
MUTABLE: tuple[type, ...] = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)
_MAX_FOLLOWED = 2_000  # items of all values that are followed from one call to the next
_OWN_REFERENCES = 4  # to a value that nothing else refers to: `values`, two of the loop, the argument of getrefcount


class SharedValues:
    """The values of one process that the other has copies of, by number.

    Args:
        first: the first number that this process gives; the processes count in steps of two from different ones.
    """

    def __init__(self, first: int) -> None:
        self.values: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}  # by id
        self._contents: dict[int, Any] = {}  # as they were in the last message
        self._next = first
        self._scopes: list[list[int]] = []
        self._forgotten: list[int] = []  # that the other process does not know yet

    def number(self, value: Any) -> int | None:
        """Return the number of a value that the other process has a copy of."""
        return self._numbers.get(id(value))

    def add(self, value: Any, number: int | None = None) -> int:
        """Follow a value under a number, the next one by default, and return it."""
        if number is None:
            number, self._next = self._next, self._next + 2
        self.values[number] = value
        self._numbers[id(value)] = number
        if self._scopes:
            self._scopes[-1].append(number)
        return number

    def settle(self, number: int) -> None:
        """Note that both copies of a value are equal now."""
        self._contents[number] = _content(self.values[number])

    def is_changed(self, number: int) -> bool:
        """Return whether a value differs from what the other process last saw: in which items it has, not inside them."""
        value, before = self.values[number], self._contents.get(number)
        if type(value) is bytearray:
            return bool(value != before)
        if before is None or _size(value) != len(before):
            return True
        if type(value) is set:
            return {*map(id, value)} != {*map(id, before)}
        return not all(map(operator.is_, _content(value), before))

    def changed(self, *, all_of_them: bool) -> list[int]:
        """Return the numbers of the values that changed; unless `all_of_them`, large ones may be left for later."""
        if not self.values:
            return []
        left, changed = _MAX_FOLLOWED, []
        for number, value in list(self.values.items()):
            if not all_of_them and len(value) >= left:
                continue
            left -= len(value) + 1
            if self.is_changed(number):
                changed.append(number)
        return changed

    def prune(self) -> None:
        """Forget values that nothing else refers to here, then the oldest, down to the limit."""
        if not self.values:
            return
        left, superfluous = _MAX_FOLLOWED, []
        for number, value in reversed(list(self.values.items())):
            left -= len(value) + 1
            if left < 0 or sys.getrefcount(value) <= _OWN_REFERENCES:
                superfluous.append(number)
        self.forget(superfluous)
        self._forgotten += superfluous

    def drop_all(self) -> None:
        """Forget all values, since a message that was to carry some of them could not be written."""
        self._forgotten += self.values
        self.forget(list(self.values))

    def take_forgotten(self) -> list[int]:
        """Return the numbers that the other process has to forget, too."""
        if not self._forgotten:
            return []
        numbers, self._forgotten = self._forgotten, []
        return numbers

    def forget(self, numbers: list[int]) -> None:
        """Follow these values no longer."""
        for number in numbers:
            value = self.values.pop(number, None)
            if value is not None:
                self._numbers.pop(id(value), None)
                self._contents.pop(number, None)

    def open_scope(self) -> None:
        """Begin a callback: what is added from now on is forgotten at its end, in both processes."""
        self._scopes.append([])

    def close_scope(self) -> None:
        """End the innermost callback."""
        self.forget(self._scopes.pop())


def _size(value: Any) -> int:
    return len(value) if not isinstance(value, dict) else 2 * len(value)


def _content(value: Any) -> Any:
    """Return the items of a value, to be compared by identity; a bytearray as bytes."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return bytes(value) if type(value) is bytearray else list(value)


def replace_content(value: Any, items: Any) -> None:
    """Give a mutable value other items, in place."""
    if type(value) is bytearray:
        value[:] = items
        return
    value.clear()
    if isinstance(value, dict):
        (dict if type(value) is Counter else type(value)).update(value, items)  # a Counter's own adds up
    elif isinstance(value, set):
        value.update(items)
    else:
        value.extend(items)
