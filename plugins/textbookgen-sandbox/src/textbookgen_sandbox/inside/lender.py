"""The program's end of the wire: keeps its objects, and does with them what the tests ask."""

from __future__ import annotations

import builtins
import copy
import inspect
import io
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

from . import program, values
from .wire import Message, Wire

#: Special methods that stand-ins forward; a stand-in has those its class has.
_SPECIAL = """
    call len iter next reversed getitem setitem delitem contains enter exit bool int float index complex round abs neg pos
    invert hash str repr format lt le gt ge add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift radd
    rsub rmul rtruediv rfloordiv rmod rpow rmatmul rand ror rxor rlshift rrshift iadd isub imul itruediv iand ior ixor
"""
SPECIAL = frozenset(f"__{name}__" for name in _SPECIAL.split())
#: Types whose values are copied, and that the program's own classes may be kinds of.
PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, list, dict, set, bytearray)
_PLAINLY: dict[Any, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
}  # past what a class of the program's may say of itself


class Borrowed:
    """An object of the tests that the program was handed and uses from afar."""

    def __init__(self, lender: Lender, number: int) -> None:
        # Past __setattr__ and __getattr__, which are the tests' own.
        self.__dict__.update(lender=lender, number=number)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Calls it, where it is."""
        return self.lender.use(self, "call", args, named)

    def __iter__(self) -> Any:
        return self.lender.use(self, "iter")

    def __next__(self) -> Any:
        return self.lender.use(self, "next")

    def __len__(self) -> Any:
        return self.lender.use(self, "len")

    def __getitem__(self, key: Any) -> Any:
        return self.lender.use(self, "item", (key,))

    def __getattr__(self, name: str) -> Any:
        return self.lender.use(self, "attr", (name,))

    def __str__(self) -> str:
        return str(self.lender.use(self, "str"))


class Lender:
    """Numbers the program's objects, so that tests can name them, and acts on them."""

    def __init__(self, namespace: dict[str, Any], fd: int) -> None:
        self.namespace = namespace
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.followed: list[str] = []
        self.wire = Wire(fd, self.answer)

    def encode(self, value: Any) -> values.Encoded:
        """A value for the tests: copied if plain, numbered if not."""
        return values.encode(value, self._lend)

    def decode(self, value: values.Encoded) -> Any:
        """A value from the tests."""
        return values.decode(value, self._find, lambda module, name: True)

    def _lend(self, value: Any) -> values.Encoded:
        if isinstance(value, Borrowed):
            return ["yours", value.number]
        number = self._number(value)
        if isinstance(value, type):
            return ["class", number]
        if isinstance(value, types.FunctionType) and not value.__dict__:  # by far the most frequent, so told in one go
            kind = "async" if inspect.iscoroutinefunction(value) else "function"
            return [kind, number, str(value.__name__), value.__doc__ if isinstance(value.__doc__, str) else None]
        return ["object", number, self._number(type(value))]

    def _number(self, value: Any) -> int:
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return self.numbers[id(value)]

    def _find(self, named: list[Any]) -> Any:
        kind, number = named[:2]
        return Borrowed(self, number) if kind == "lent" else self.objects[number]

    def use(self, borrowed: Borrowed, what: str, args: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
        """Uses an object of the tests."""
        names = {key: self.encode(item) for key, item in (named or {}).items()}
        reply = self.wire.ask({"do": what, "on": borrowed.number, "args": [self.encode(item) for item in args], "named": names})
        if "raised" in reply:
            kind = getattr(builtins, str(reply["raised"]), Exception)
            raise kind(*self.decode(reply["args"]))
        return self.decode(reply["value"])

    def answer(self, request: Message) -> Message:
        """Does what the tests ask, and tells what came of it: a value or an error, what was printed, what changed."""
        kept, sys.stdout = sys.stdout, io.StringIO()
        args = [self.decode(item) for item in request.get("args", ())]
        try:
            named = {key: self.decode(item) for key, item in request.get("named", {}).items()}
            value = getattr(self, f"do_{request['do']}")(request.get("on"), *args, **named)
            place = next(
                (index for index, item in enumerate(args) if item is value and not isinstance(value, int | str | None)), None
            )
            reply: Message = {"value": self.encode(value) if place is None else ["argument", place]}
        except BaseException as error:
            reply = self._raised(error)
        reply["printed"] = sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""
        sys.stdout = kept
        reply["args_now"] = [self.encode(item) if _can_change(item) else None for item in args]
        if self.followed:
            reply["globals"] = {name: self.encode(self.namespace.get(name)) for name in self.followed}
        return reply

    def _raised(self, error: BaseException) -> Message:
        plain = [item if isinstance(item, str | int | float | None) else str(item) for item in error.args]
        kind = type(error)
        own = None if kind.__module__ == "builtins" else ["object", self._number(error), self._number(kind)]
        return {"raised": program.reason(error), "args": self.encode(tuple(plain)), "own": own}

    # -- What tests can ask.

    def do_names(self, _: Any, wanted: list[str]) -> dict[str, Any]:
        """The names of the program that tests use. Plain globals are followed: told again after each call."""
        here = [name for name in wanted if name in self.namespace and not name.startswith("__")]
        self.followed = [name for name in here if _is_plain(self.namespace[name])]
        return {name: self.namespace[name] for name in here}

    def do_describe(self, number: int) -> list[Any]:
        """A class: its name, its bases, the special methods it has, the built-in error it is, and its docstring."""
        kind = self.objects[number]
        bases = [base for base in kind.__mro__[1:-1] if base.__module__ != "builtins" and _has_number(base)]
        direct = [base for base in kind.__bases__ if base in bases]
        special = [
            name
            for name in SPECIAL
            if getattr(kind, name, None) is not None and getattr(kind, name) is not getattr(object, name, None)
        ]
        of_class = [name for name in ("__iter__", "__len__", "__getitem__", "__contains__") if hasattr(type(kind), name)]
        error = next(
            (base.__name__ for base in kind.__mro__ if base.__module__ == "builtins" and issubclass(base, BaseException)), ""
        )
        hashable = kind.__hash__ is not None
        words = kind.__doc__ if isinstance(kind.__doc__, str) else None
        return [kind.__name__, [self._number(base) for base in direct], special, of_class, error, hashable, words]

    def do_call(self, number: int, *args: Any, **named: Any) -> Any:
        """Calls a function, a class or an object."""
        return self.objects[number](*args, **named)

    def do_await(self, number: int, *args: Any, **named: Any) -> Any:
        """Calls a coroutine function and waits for its result."""
        import asyncio  # seldom needed, and large: kept out of the warm process

        return asyncio.run(self.objects[number](*args, **named))

    def do_special(self, number: int, name: str, *args: Any) -> Any:
        """Calls a special method as the interpreter would: through the operator where there is one."""
        it = self.objects[number]
        by_function: dict[str, Callable[[Any], Any]] = {"__str__": str, "__repr__": repr, "__iter__": iter, "__next__": next}
        return by_function[name](it) if name in by_function else getattr(type(it), name)(it, *args)

    def do_get(self, number: int, name: str) -> Any:
        """An attribute."""
        return getattr(self.objects[number], name)

    def do_set(self, number: int, name: str, value: Any) -> None:
        """Sets an attribute."""
        setattr(self.objects[number], name, value)

    def do_delete(self, number: int, name: str) -> None:
        """Deletes an attribute."""
        delattr(self.objects[number], name)

    def do_same(self, number: int, other: Any) -> bool:
        """Whether two objects of the program are equal, by their own lights."""
        return bool(operator.eq(self.objects[number], other))

    def do_copy(self, number: int) -> Any:
        """A deep copy."""
        return copy.deepcopy(self.objects[number])

    def do_plain(self, number: int) -> Any:
        """The plain value an object is a kind of (a named tuple's tuple, an IntEnum's int), in a list, or an empty list."""
        it = self.objects[number]
        base: Any = next((item for item in PLAIN if isinstance(it, item)), None)
        return [] if base is None else [_PLAINLY.get(base, base)(it)]


def _has_number(kind: type) -> bool:
    return not issubclass(kind, BaseException) or kind.__module__ != "builtins"


def _can_change(value: Any) -> bool:
    return type(value) in values.CAN_CHANGE or (type(value) is tuple and any(map(_can_change, value)))


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (*PLAIN, *values.CAN_CHANGE)
