"""Values on the wire between a program and its tests: plain ones are copied, all others stay where they are and are named.

JSON carries them, since reading it runs nobody's code. A value that is not a JSON scalar is a list that begins with its kind.
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

#: Modules whose functions and classes are the same on both sides; none of them ends a process or makes equal what is not.
_SHARED = """
    abc bisect cmath collections collections.abc copy dataclasses datetime decimal enum fractions functools heapq itertools json
    math numbers operator random re statistics string textwrap time typing
"""
SHARED = frozenset(_SHARED.split())
_LISTS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset", deque: "deque"}
_DICTS: dict[type, str] = {dict: "dict", OrderedDict: "ordered", Counter: "counter"}
_TIMES: dict[type, str] = {datetime.datetime: "datetime", datetime.date: "date", datetime.time: "time"}
_LARGEST_PLAIN = 1 << 53
#: Types that can change while their value is elsewhere.
CAN_CHANGE: tuple[type, ...] = (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict)

Encoded = Any
Elsewhere = Callable[[Any], Encoded]  # names a value that cannot be copied


def _scalar(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return bool(-_LARGEST_PLAIN < value < _LARGEST_PLAIN)
    return value is None or kind in (bool, str) or (kind is float and math.isfinite(value))


def encode(value: Any, elsewhere: Elsewhere) -> Encoded:
    """A value as JSON; what is not of a plain type, exactly, is named by `elsewhere`."""
    if _scalar(value):
        return value
    kind = type(value)
    if kind in _LISTS:
        return [_LISTS[kind], *(encode(each, elsewhere) for each in value)]
    if kind in _DICTS:
        return [_DICTS[kind], *([encode(key, elsewhere), encode(item, elsewhere)] for key, item in value.items())]
    if kind is defaultdict:
        return ["defaultdict", encode(value.default_factory, elsewhere), *encode(dict(value), elsewhere)[1:]]
    return _rarer(value, kind) or _shared(value) or elsewhere(value)


def _rarer(value: Any, kind: Any) -> Encoded | None:
    """Plain values that JSON has no word for."""
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


def _shared(value: Any) -> Encoded | None:
    """A module, class or function of the standard library, by name."""
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


def decode(value: Encoded, elsewhere: Callable[[list[Any]], Any], may: Callable[[str, str], bool]) -> Any:
    """The value again; `elsewhere` finds one that was named, `may` says of a name of the standard library if it is let in.

    Raises:
        ValueError: it is no value, or names what is not let in.
    """
    if not isinstance(value, list):
        return value
    kind, *rest = value

    def item(each: Encoded) -> Any:
        return decode(each, elsewhere, may)

    if kind in _MAKE:
        return _MAKE[kind](map(item, rest))
    if kind in _MAKE_DICT:
        return _MAKE_DICT[kind]((item(key), item(each)) for key, each in rest)
    if kind == "defaultdict":
        return defaultdict(item(rest[0]), ((item(key), item(each)) for key, each in rest[1:]))
    if kind == "range":
        return range(*map(item, rest))
    if kind in _PARSE:
        return _PARSE[kind](*rest)
    if kind in ("builtin", "shared", "module"):
        return _look_up(kind, rest, may)
    return elsewhere(value)


def _look_up(kind: str, rest: list[str], may: Callable[[str, str], bool]) -> Any:
    module, name = {"builtin": ("builtins", rest[-1]), "module": (rest[0], ""), "shared": (rest[0], rest[-1])}[kind]
    if not may(module, name):
        raise ValueError(f"{module}.{name} is not let in")
    result = importlib.import_module(module)
    if not name:
        return result
    if kind == "shared" and _shared(getattr(result, name)) != ["shared", module, name]:
        raise ValueError(f"{module}.{name} is not {module}'s own")
    return getattr(result, name)


def refill(old: Any, new: Any) -> None:
    """Makes a plain value that was handed over look as it looks on the other side, as far as it can change."""
    if type(old) is not type(new):
        return
    if isinstance(old, list | deque):
        for was, item in zip(old, new, strict=False):
            refill(was, item)
        kept = [was if type(was) is type(item) and was == item else item for was, item in zip(old, new, strict=False)]
        fresh = [*kept, *list(new)[len(kept) :]]
        old.clear()
        old.extend(fresh)
    elif isinstance(old, dict):
        for key in new:
            if key in old:
                refill(old[key], new[key])
        fresh_items = {
            key: old[key] if key in old and type(old[key]) is type(new[key]) and old[key] == new[key] else new[key]
            for key in new
        }
        old.clear()
        old.update(fresh_items)
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
    elif isinstance(old, tuple):
        for was, item in zip(old, new, strict=False):
            refill(was, item)
