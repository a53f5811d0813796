"""Values between a program and its tests as JSON: plain values are copied, others are passed by reference.

A value that is not a JSON scalar is a list that begins with its kind. Unlike pickle, decoding runs no code of the other side;
names of the standard library are resolved only if the receiver allows them.
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
#: Plain types whose values can change while a copy of them is in the other process.
MUTABLE: tuple[type, ...] = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)

Encoded = Any
Reference = Callable[[Any], Encoded]  # refers to a value that cannot be copied


def _is_scalar(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-_MAX_JSON_INT < value < _MAX_JSON_INT)
    return value is None or kind in (bool, str) or (kind is float and math.isfinite(value))


def encode(value: Any, reference: Reference) -> Encoded:
    """Return a value as JSON; a value whose type is not exactly a plain one is encoded by `reference`."""
    if _is_scalar(value):
        return value
    kind = type(value)
    if kind in _LISTS:
        return [_LISTS[kind], *(encode(item, reference) for item in value)]
    if kind in _DICTS:
        return [_DICTS[kind], *([encode(key, reference), encode(item, reference)] for key, item in value.items())]
    if kind is defaultdict:
        return ["defaultdict", encode(value.default_factory, reference), *encode(dict(value), reference)[1:]]
    return _encode_other(value, kind) or _encode_name(value) or reference(value)


def _encode_other(value: Any, kind: Any) -> Encoded | None:
    """Return a plain value that JSON has no type for, or None if it is not plain."""
    if kind is int:
        return ["int", format(value, "x")]
    if kind in (float, Decimal):
        return [kind.__name__, str(value)]
    if kind is complex:
        return ["complex", repr(value.real), repr(value.imag)]
    if kind in (bytes, bytearray):
        return [kind.__name__, value.hex()]
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


_MAKE: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
_MAKE_DICT: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "ordered": OrderedDict,
    "counter": lambda pairs: Counter(dict(pairs)),
}
_PARSE: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "Decimal": Decimal,
    "complex": lambda real, imaginary: complex(float(real), float(imaginary)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "fraction": lambda over, under: Fraction(int(over, 16), int(under, 16)),
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "timedelta": datetime.timedelta,
    "...": lambda: ...,
    "not implemented": lambda: NotImplemented,
}


def decode(value: Encoded, resolve: Callable[[list[Any]], Any], is_allowed: Callable[[str, str], bool]) -> Any:
    """Return the value that was encoded.

    Args:
        value: the encoded value.
        resolve: returns the value of a reference.
        is_allowed: whether a name of the standard library may be resolved, by module and name.

    Raises:
        ValueError: it is malformed, or names what is not allowed.
    """
    if not isinstance(value, list):
        return value
    kind, *rest = value

    def decode_item(item: Encoded) -> Any:
        return decode(item, resolve, is_allowed)

    if kind in _MAKE:
        return _MAKE[kind](map(decode_item, rest))
    if kind in _MAKE_DICT:
        return _MAKE_DICT[kind]((decode_item(key), decode_item(item)) for key, item in rest)
    if kind == "defaultdict":
        return defaultdict(decode_item(rest[0]), ((decode_item(key), decode_item(item)) for key, item in rest[1:]))
    if kind == "range":
        return range(*map(decode_item, rest))
    if kind in _PARSE:
        return _PARSE[kind](*rest)
    if kind in ("builtin", "shared", "module"):
        return _look_up(kind, rest, is_allowed)
    return resolve(value)


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


def update_in_place(old: Any, new: Any) -> None:
    """Make a plain value equal to its changed copy from the other process, keeping its identity and that of its items."""
    if type(old) is not type(new):
        return
    if isinstance(old, list | deque):
        for was, item in zip(old, new, strict=False):
            update_in_place(was, item)
        kept = [was if type(was) is type(item) and was == item else item for was, item in zip(old, new, strict=False)]
        items = [*kept, *list(new)[len(kept) :]]
        old.clear()
        old.extend(items)
    elif isinstance(old, dict):
        for key in new:
            if key in old:
                update_in_place(old[key], new[key])
        entries = {
            key: old[key] if key in old and type(old[key]) is type(new[key]) and old[key] == new[key] else new[key]
            for key in new
        }
        old.clear()
        old.update(entries)
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
    elif isinstance(old, tuple):
        for was, item in zip(old, new, strict=False):
            update_in_place(was, item)
