"""Values between a program and its tests as JSON: plain values are copied, others are passed by reference.

A value that is not a JSON scalar is a list that begins with its kind; that of a mutable value has its number in
`shared_values` next. Unlike pickle, decoding runs no code of the other side; names of the standard library are resolved only if
the receiver allows them.
"""

from __future__ import annotations

import builtins
import datetime
import importlib
import math
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .shared_values import MUTABLE, SharedValues, replace_content

#: Modules whose functions and classes are passed by name; none of them ends a process or compares equal to what it is not.
_SHARED = """
    abc bisect cmath collections collections.abc copy dataclasses datetime decimal enum fractions functools heapq itertools json
    math numbers operator random re statistics string textwrap time typing
"""
SHARED = frozenset(_SHARED.split())
_LISTS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset", deque: "deque"}
_DICTS: dict[type, str] = {dict: "dict", OrderedDict: "ordered", Counter: "counter"}
_TIMES: dict[type, str] = {datetime.datetime: "datetime", datetime.date: "date", datetime.time: "time"}
_MAX_JSON_INT = 1 << 53
_FAST_TYPES = ({int}, {str}, {bool}, {type(None)})

Encoded = Any


class Codec:
    """Encodes values for the other process and decodes its values.

    Args:
        shared: the mutable values that both processes have.
        reference: refers to a value that cannot be copied.
        resolve: returns the value of a reference.
        is_allowed: whether a name of the standard library may be resolved, by module and name.
    """

    def __init__(
        self,
        shared: SharedValues,
        reference: Callable[[Any], Encoded],
        resolve: Callable[[list[Any]], Any],
        is_allowed: Callable[[str, str], bool],
    ) -> None:
        self.shared = shared
        self._reference = reference
        self._resolve = resolve
        self._is_allowed = is_allowed

    def encode(self, value: Any) -> Encoded:
        """Return a value as JSON; one whose type is not exactly a plain one is encoded by reference."""
        if _is_scalar(value):
            return value
        kind = type(value)
        if kind is tuple or kind is frozenset:
            return [_LISTS[kind], *self._items(value)]
        if kind in MUTABLE:
            return self._encode_mutable(value, kind)
        return _encode_other(value, kind) or _encode_name(value) or self._reference(value)

    def _items(self, value: Any) -> list[Encoded]:
        """Return items encoded; those that are JSON scalars as they are."""
        types = set(map(type, value))
        if types in _FAST_TYPES and (types != {int} or (max(value) < _MAX_JSON_INT and min(value) > -_MAX_JSON_INT)):
            return list(value)
        return list(map(self.encode, value))

    def _encode_mutable(self, value: Any, kind: Any) -> Encoded:
        number = self.shared.number(value)
        if number is not None and not self.shared.is_changed(number):
            return ["same", number]
        return self.encode_content(self.shared.add(value) if number is None else number, value, kind)

    def encode_content(self, number: int, value: Any, kind: Any) -> Encoded:
        """Return a mutable value with its content; if it contains itself, the inner one is encoded by number."""
        self.shared.settle(number)
        if kind is bytearray:
            return ["bytearray", number, value.hex()]
        if kind is deque:
            return ["deque", number, value.maxlen, *self._items(value)]
        if kind in _LISTS:
            return [_LISTS[kind], number, *self._items(value)]
        pairs = zip(self._items(value), self._items(value.values()), strict=True)
        if kind is defaultdict:
            return ["defaultdict", number, self.encode(value.default_factory), *pairs]
        return [_DICTS[kind], number, *pairs]

    def encode_changes(self, *, all_of_them: bool) -> list[Encoded]:
        """Return the mutable values that changed since the last message, with their content."""
        changed = self.shared.changed(all_of_them=all_of_them)
        if not changed:
            return []
        values = ((number, self.shared.values[number]) for number in changed)
        return [self.encode_content(number, value, type(value)) for number, value in values if self.shared.is_changed(number)]

    def decode(self, value: Encoded) -> Any:
        """Return the value that was encoded.

        Raises:
            ValueError: it is malformed, or names what is not allowed.
        """
        if not isinstance(value, list):
            return value
        kind, *rest = value
        if kind == "same":
            return self.shared.values[rest[0]]
        if kind in _MAKE:
            return self._decode_mutable(kind, *rest)
        if kind in _FROZEN:
            return _FROZEN[kind](map(self.decode, rest))
        if kind == "range":
            return range(*map(self.decode, rest))
        if kind in _PARSE:
            return _PARSE[kind](*rest)
        if kind in ("builtin", "shared", "module"):
            return _look_up(kind, rest, self._is_allowed)
        return self._resolve(value)

    def _decode_mutable(self, kind: str, number: int, *rest: Any) -> Any:
        """Update the copy with this number, or make one; it is there before its items, which may contain it."""
        if type(number) is not int:
            raise ValueError("the number of a mutable value is missing")
        value = self.shared.values.get(number)
        if value is None:
            value = deque(maxlen=rest[0]) if kind == "deque" else _MAKE[kind]()
            self.shared.add(value, number)
        elif type(value) is not _MAKE[kind]:
            raise ValueError("a mutable value cannot change its type")
        rest = rest[1:] if kind == "deque" else rest
        if kind == "bytearray":
            replace_content(value, bytes.fromhex(rest[0]))
        elif isinstance(value, dict):
            if isinstance(value, defaultdict):
                value.default_factory, rest = self.decode(rest[0]), rest[1:]
            replace_content(value, [(self.decode(key), self.decode(item)) for key, item in rest])
        else:
            replace_content(value, [self.decode(item) if type(item) is list else item for item in rest])
        self.shared.settle(number)
        return value


def _is_scalar(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-_MAX_JSON_INT < value < _MAX_JSON_INT)
    return value is None or kind in (bool, str) or (kind is float and math.isfinite(value))


def _encode_other(value: Any, kind: Any) -> Encoded | None:
    """Return a plain value that JSON has no type for, or None if it is not plain."""
    if kind is int:
        return ["int", format(value, "x")]
    if kind in (float, Decimal):
        return [kind.__name__, str(value)]
    if kind is complex:
        return ["complex", repr(value.real), repr(value.imag)]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind is range:
        return ["range", *(["int", format(item, "x")] for item in (value.start, value.stop, value.step))]
    if kind is slice:
        return None
    if kind is Fraction:
        return ["fraction", format(value.numerator, "x"), format(value.denominator, "x")]
    if kind in _TIMES and value.__class__ is kind and (kind is datetime.date or value.tzinfo is None):
        return [_TIMES[kind], value.isoformat()]
    if kind is datetime.timedelta:
        return ["timedelta", value.days, value.seconds, value.microseconds]
    return ["..."] if value is ... else ["not implemented"] if value is NotImplemented else None


def _encode_name(value: Any) -> Encoded | None:
    """Return a module, class or function of the shared modules by name, or None if it is not one."""
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__] if value.__name__ in SHARED else None
    if not isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return None
    module, name = str(value.__module__), value.__qualname__
    if module == "builtins":
        return ["builtin", name] if getattr(builtins, name, None) is value else None
    module = module[1:] if module[1:] in SHARED else module  # _functools.reduce is functools.reduce
    if module not in SHARED or getattr(importlib.import_module(module), name, None) is not value:
        return None
    return ["shared", module, name]


_FROZEN: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "frozenset": frozenset}
_MAKE: dict[str, Callable[[], Any]] = {
    "list": list,
    "set": set,
    "deque": deque,
    "dict": dict,
    "ordered": OrderedDict,
    "counter": Counter,
    "defaultdict": defaultdict,
    "bytearray": bytearray,
}
_PARSE: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "Decimal": Decimal,
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
    "bytes": bytes.fromhex,
    "fraction": lambda over, under: Fraction(int(over, 16), int(under, 16)),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": datetime.timedelta,
    "...": lambda: ...,
    "not implemented": lambda: NotImplemented,
}


def _look_up(kind: str, rest: list[str], is_allowed: Callable[[str, str], bool]) -> Any:
    module, name = {"builtin": ("builtins", rest[-1]), "module": (rest[0], ""), "shared": (rest[0], rest[-1])}[kind]
    if not is_allowed(module, name):
        raise ValueError(f"{module}.{name} may not be used")
    result = importlib.import_module(module)
    if not name:
        return result
    if kind == "shared" and _encode_name(getattr(result, name)) != ["shared", module, name]:
        raise ValueError(f"{module}.{name} is not defined in {module}")
    return getattr(result, name)
