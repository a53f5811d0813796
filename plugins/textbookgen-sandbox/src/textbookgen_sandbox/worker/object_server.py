"""Object server in the program's process: keeps the program's objects and performs the operations the tests request on them."""

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

from . import execution, serialization
from .rpc import Connection, Message

#: Special methods that proxies forward; a proxy has those that its object's class has.
_SPECIAL = """
    call len iter next reversed getitem setitem delitem contains enter exit bool int float index complex round abs neg pos
    invert hash str repr format lt le gt ge add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift radd
    rsub rmul rtruediv rfloordiv rmod rpow rmatmul rand ror rxor rlshift rrshift iadd isub imul itruediv iand ior ixor
"""
SPECIAL = frozenset(f"__{name}__" for name in _SPECIAL.split())
#: Types whose values are copied, and that the program's classes may inherit from.
PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, list, dict, set, bytearray)
_TO_PLAIN: dict[Any, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
}  # these ignore what a class of the program overrides


class CallbackProxy:
    """An object of the tests that was passed to the program; its operations are sent back to the tests."""

    def __init__(self, server: ObjectServer, number: int) -> None:
        # Written past __setattr__ and __getattr__, which belong to the object it stands in for.
        self.__dict__.update(server=server, number=number)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the object in the process of the tests."""
        return self.server.call_back(self, "call", args, named)

    def __iter__(self) -> Any:
        return self.server.call_back(self, "iter")

    def __next__(self) -> Any:
        return self.server.call_back(self, "next")

    def __len__(self) -> Any:
        return self.server.call_back(self, "len")

    def __getitem__(self, key: Any) -> Any:
        return self.server.call_back(self, "item", (key,))

    def __getattr__(self, name: str) -> Any:
        return self.server.call_back(self, "attr", (name,))

    def __str__(self) -> str:
        return str(self.server.call_back(self, "str"))


class ObjectServer:
    """Numbers the program's objects, so that tests can refer to them, and operates on them."""

    def __init__(self, namespace: dict[str, Any], fd: int) -> None:
        self.namespace = namespace
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.watched: list[str] = []  # plain globals that tests use, sent again after each call
        self.connection = Connection(fd, self.answer)

    def encode(self, value: Any) -> serialization.Encoded:
        """Encode a value for the tests: a copy if it is plain, a reference if not."""
        return serialization.encode(value, self._reference)

    def decode(self, value: serialization.Encoded) -> Any:
        """Decode a value from the tests."""
        return serialization.decode(value, self._resolve, lambda module, name: True)

    def _reference(self, value: Any) -> serialization.Encoded:
        if isinstance(value, CallbackProxy):
            return ["yours", value.number]
        number = self._number(value)
        if isinstance(value, type):
            return ["class", number]
        if isinstance(value, types.FunctionType) and not value.__dict__:  # the most frequent case, described in one message
            kind = "async" if inspect.iscoroutinefunction(value) else "function"
            return [kind, number, str(value.__name__), value.__doc__ if isinstance(value.__doc__, str) else None]
        return ["object", number, self._number(type(value))]

    def _number(self, value: Any) -> int:
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return self.numbers[id(value)]

    def _resolve(self, reference: list[Any]) -> Any:
        kind, number = reference[:2]
        return CallbackProxy(self, number) if kind == "lent" else self.objects[number]

    def call_back(
        self, proxy: CallbackProxy, operation: str, args: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        """Perform an operation on an object of the tests and return its result, or raise what it raised."""
        encoded = [self.encode(item) for item in args]
        names = {key: self.encode(item) for key, item in (named or {}).items()}
        reply = self.connection.request({"do": operation, "on": proxy.number, "args": encoded, "named": names})
        if "raised" in reply:
            kind = getattr(builtins, str(reply["raised"]), Exception)
            raise kind(*self.decode(reply["args"]))
        return self.decode(reply["value"])

    def answer(self, request: Message) -> Message:
        """Perform a requested operation; reply with its value or error, what it printed, and what it changed."""
        stdout, sys.stdout = sys.stdout, io.StringIO()
        args = [self.decode(item) for item in request.get("args", ())]
        try:
            named = {key: self.decode(item) for key, item in request.get("named", {}).items()}
            value = getattr(self, f"do_{request['do']}")(request.get("on"), *args, **named)
            place = next(
                (index for index, item in enumerate(args) if item is value and not isinstance(value, int | str | None)), None
            )
            reply: Message = {"value": self.encode(value) if place is None else ["argument", place]}
        except BaseException as error:
            reply = self._error_reply(error)
        reply["printed"] = sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""
        sys.stdout = stdout
        reply["args_now"] = [self.encode(item) if _is_mutable(item) else None for item in args]
        if self.watched:
            reply["globals"] = {name: self.encode(self.namespace.get(name)) for name in self.watched}
        return reply

    def _error_reply(self, error: BaseException) -> Message:
        plain = [item if isinstance(item, str | int | float | None) else str(item) for item in error.args]
        kind = type(error)
        own = None if kind.__module__ == "builtins" else ["object", self._number(error), self._number(kind)]
        return {"raised": execution.builtin_error_name(error), "args": self.encode(tuple(plain)), "own": own}

    # -- Operations that tests can request: `do_NAME` performs the operation NAME on the object of a number.

    def do_names(self, _: Any, wanted: list[str]) -> dict[str, Any]:
        """Return the globals of the program that tests use; plain ones are sent again after each call."""
        present = [name for name in wanted if name in self.namespace and not name.startswith("__")]
        self.watched = [name for name in present if _is_plain(self.namespace[name])]
        return {name: self.namespace[name] for name in present}

    def do_describe(self, number: int) -> list[Any]:
        """Return a class's name, bases, special methods, those of its metaclass, built-in error, hashability and docstring."""
        kind = self.objects[number]
        bases = [base for base in kind.__mro__[1:-1] if base.__module__ != "builtins"]
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
        docstring = kind.__doc__ if isinstance(kind.__doc__, str) else None
        return [kind.__name__, [self._number(base) for base in direct], special, of_class, error, hashable, docstring]

    def do_call(self, number: int, *args: Any, **named: Any) -> Any:
        """Call a function, a class or an object."""
        return self.objects[number](*args, **named)

    def do_await(self, number: int, *args: Any, **named: Any) -> Any:
        """Call a coroutine function and wait for its result."""
        import asyncio  # rarely needed, and large: not preloaded

        return asyncio.run(self.objects[number](*args, **named))

    def do_special(self, number: int, name: str, *args: Any) -> Any:
        """Call a special method as the interpreter would: through the built-in function where there is one."""
        target = self.objects[number]
        by_function: dict[str, Callable[[Any], Any]] = {"__str__": str, "__repr__": repr, "__iter__": iter, "__next__": next}
        return by_function[name](target) if name in by_function else getattr(type(target), name)(target, *args)

    def do_get(self, number: int, name: str) -> Any:
        """Return an attribute."""
        return getattr(self.objects[number], name)

    def do_set(self, number: int, name: str, value: Any) -> None:
        """Set an attribute."""
        setattr(self.objects[number], name, value)

    def do_delete(self, number: int, name: str) -> None:
        """Delete an attribute."""
        delattr(self.objects[number], name)

    def do_same(self, number: int, other: Any) -> bool:
        """Return whether two objects of the program are equal by their own `__eq__`."""
        return bool(operator.eq(self.objects[number], other))

    def do_copy(self, number: int) -> Any:
        """Return a deep copy."""
        return copy.deepcopy(self.objects[number])

    def do_plain(self, number: int) -> Any:
        """Return the plain value of an object whose class inherits from a plain type, in a list; an empty list for others.

        A named tuple has its tuple, an `IntEnum` member its int.
        """
        target = self.objects[number]
        base: Any = next((item for item in PLAIN if isinstance(target, item)), None)
        return [] if base is None else [_TO_PLAIN.get(base, base)(target)]


def _is_mutable(value: Any) -> bool:
    return type(value) in serialization.MUTABLE or (type(value) is tuple and any(map(_is_mutable, value)))


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (*PLAIN, *serialization.MUTABLE)
