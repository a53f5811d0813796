"""Proxies in the process of the tests: stand-ins for the program's functions, classes and objects, which live elsewhere.

Threat: an object of the program that claims to equal, or to differ by zero from, whatever it is compared with. Comparisons that
decide a test are therefore made here, where the program cannot reach. An object of the program never equals a plain value,
unless its class inherits from that plain type and it has that value; and once arithmetic has revealed a number of the tests to
the program, no plain value is accepted from the result.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable
from typing import Any

from . import serialization
from .object_server import PLAIN, SPECIAL
from .rpc import Connection, Message

_OPERATORS = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
_ARITHMETIC = frozenset(f"__{side}{name}__" for name in _OPERATORS.split() for side in ("", "r", "i"))
_ORDER = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
_CONVERSIONS = frozenset(f"__{name}__" for name in ("abs", "neg", "pos", "invert", "round", "int", "float", "index", "complex"))
_FORWARDED_DUNDERS = frozenset(
    {"__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__defaults__", "__wrapped__"}
)
_RETURN_TYPES: dict[str, type] = {
    **{
        "__len__": int,
        "__hash__": int,
        "__bool__": bool,
        "__int__": int,
        "__float__": float,
        "__index__": int,
        "__complex__": complex,
    },
    **{"__str__": str, "__repr__": str, "__format__": str, "__contains__": bool},
}
_FORBIDDEN_BUILTINS = frozenset(
    {"exit", "quit", "open", "input", "breakpoint", "eval", "exec", "compile", "__import__", "help", "setattr", "delattr"}
)


class _ProxyClass(type):
    """Metaclass of proxies for classes: calling one creates an object in the program's process."""

    _sandbox_client: ProxyClient
    _sandbox_class: int  # prefixed, since the names of the program's own attributes must stay free

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return cls._sandbox_client.call(cls._sandbox_class, args, named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return cls._sandbox_client.request("get", cls._sandbox_class, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._sandbox_client.request("set", cls._sandbox_class, name, value)


def _of_class(name: str) -> Callable[..., Any]:
    def forward(cls: Any, *args: Any) -> Any:
        return cls._sandbox_client.request("special", cls._sandbox_class, name, *args)

    return forward


class _EnumProxyClass(_ProxyClass):
    """Metaclass of proxies for enumerations, which are collections of their members."""

    __iter__ = _of_class("__iter__")
    __len__ = _of_class("__len__")
    __getitem__ = _of_class("__getitem__")
    __contains__ = _of_class("__contains__")


class ObjectProxy:
    """Proxy for an object of the program; it has the special methods that the object's class has."""

    _sandbox_client: ProxyClient
    _sandbox_number: int
    _sandbox_tainted: bool  # whether it resulted from arithmetic with a number of the tests

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED_DUNDERS:
            raise AttributeError(name)
        return self._sandbox_client.request("get", self._sandbox_number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._sandbox_client.request("set", self._sandbox_number, name, value)

    def __delattr__(self, name: str) -> None:
        self._sandbox_client.request("delete", self._sandbox_number, name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ObjectProxy):
            return self is other or self._sandbox_client.request("same", self._sandbox_number, other) is True
        plain = self._sandbox_client.plain(self)
        return bool(plain) and bool(plain[0] == other)

    def __hash__(self) -> int:
        return int(self._sandbox_client.special(self, "__hash__"))

    def __deepcopy__(self, _: Any) -> Any:
        return self._sandbox_client.request("copy", self._sandbox_number)


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: ObjectProxy, *args: Any) -> Any:
        return self._sandbox_client.special(self, name, *args)

    forward.__name__ = name
    return forward


def _call(self: ObjectProxy, *args: Any, **named: Any) -> Any:
    return self._sandbox_client.call(self._sandbox_number, args, named)


_FORWARDS = {name: _forward(name) for name in SPECIAL - {"__hash__"}} | {"__call__": _call}
_FUNCTIONS = frozenset({"function", "method", "builtin_function_or_method"})


class ProxyClient:
    """Requests operations from the program's process and returns proxies for the objects it replies with."""

    def __init__(self, fd: int, tests_module: str) -> None:
        self.lent: list[Any] = []  # objects of the tests that the program was passed
        self.classes: dict[int, type] = {}
        self.objects: dict[int, Any] = {}
        self.namespace: dict[str, Any] = {}
        self.watched: frozenset[str] = frozenset()
        self.tests_module = tests_module
        self.connection = Connection(fd, self.answer)

    # -- Encoding and decoding of values.

    def encode(self, value: Any) -> serialization.Encoded:
        """Encode a value for the program: a copy if it is plain, a reference if not."""
        return serialization.encode(value, self._reference)

    def decode(self, value: serialization.Encoded) -> Any:
        """Decode a value from the program."""
        return serialization.decode(value, self._resolve, _is_allowed)

    def _reference(self, value: Any) -> serialization.Encoded:
        number = value.__dict__.get("sandbox_number") if isinstance(value, types.FunctionType) else None
        if isinstance(value, _ProxyClass):
            number = value._sandbox_class
        elif isinstance(value, ObjectProxy):
            number = object.__getattribute__(value, "_sandbox_number")
        if number is not None:
            return ["yours", number]
        self.lent.append(value)
        return ["lent", len(self.lent) - 1]

    def _resolve(self, reference: list[Any]) -> Any:
        kind, number = str(reference[0]), int(reference[1])
        if kind == "yours":
            return self.lent[number]
        if kind == "class":
            return self._class(number)
        if number not in self.objects:
            function = kind in ("function", "async")
            self.objects[number] = self._function(number, *reference) if function else self._object(number, int(reference[2]))
        return self.objects[number]

    def _object(self, number: int, class_number: int, args: tuple[Any, ...] = ()) -> Any:
        kind = self._class(class_number)
        proxy = kind.__new__(kind, *args) if issubclass(kind, BaseException) else object.__new__(kind)
        for name, value in (("_sandbox_client", self), ("_sandbox_number", number), ("_sandbox_tainted", False)):
            object.__setattr__(proxy, name, value)
        return proxy

    def _function(self, number: int, kind: str, _: int, name: str, docstring: str | None) -> Any:
        def function(*args: Any, **named: Any) -> Any:
            return self.call(number, args, named)

        async def coroutine(*args: Any, **named: Any) -> Any:
            return self.call(number, args, named, "await")

        proxy: Any = coroutine if kind == "async" else function
        proxy.__name__ = proxy.__qualname__ = str(name)
        proxy.__doc__, proxy.__module__, proxy.sandbox_number = docstring, "__main__", number
        return proxy

    def _class(self, number: int, depth: int = 0) -> type:
        """Return the proxy for a class, created when first seen."""
        if number not in self.classes:
            name, base_numbers, special, of_class, error, hashable, docstring = self.request("describe", number)
            bases: list[type] = [self._class(int(item), depth + 1) for item in base_numbers] if depth < 20 else []
            root = getattr(builtins, error, None) if error else None
            if isinstance(root, type) and issubclass(root, Exception) and not any(issubclass(base, root) for base in bases):
                bases.append(root)
            if not any(issubclass(base, ObjectProxy) for base in bases):
                bases.insert(0, ObjectProxy)
            body: dict[str, Any] = {item: _FORWARDS[item] for item in special if item in _FORWARDS}
            own_docstring = property(lambda proxy: self.request("get", proxy._sandbox_number, "__doc__"))
            body.update({"_sandbox_client": self, "_sandbox_class": number, "__module__": "__main__"})
            body["__doc__"] = own_docstring if name in _FUNCTIONS else docstring
            if not hashable:
                body["__hash__"] = None
            self.classes[number] = (_EnumProxyClass if of_class else _ProxyClass)(str(name), tuple(bases), body)
        return self.classes[number]

    # -- Requests to the program.

    def request(self, operation: str, number: int, *args: Any) -> Any:
        """Perform an operation on an object of the program and return its result."""
        return self.call(number, args, {}, operation)

    def call(self, number: int, args: tuple[Any, ...], named: dict[str, Any], operation: str = "call") -> Any:
        """Call an object of the program, or perform another operation on it; mutable arguments it changes are updated here."""
        names = {key: self.encode(item) for key, item in named.items()}
        reply = self.connection.request(
            {"do": operation, "on": number, "args": [self.encode(item) for item in args], "named": names}
        )
        if printed := reply.get("printed"):
            sys.stdout.write(str(printed))
        for mine, now in zip(args, reply.get("args_now", ()), strict=False):
            if now is not None:
                serialization.update_in_place(mine, self.decode(now))
        for name, value in reply.get("globals", {}).items():
            if name in self.watched:
                self.namespace[name] = self.decode(value)
        if "raised" in reply:
            raise self._error(reply, may_stop=operation == "special" and args[:1] == ("__next__",))
        value = reply["value"]
        if isinstance(value, list) and value[0] == "argument":
            return args[int(value[1])]
        return self.decode(value)

    def _error(self, reply: Message, may_stop: bool) -> BaseException:
        """Return the error the program raised, replaced if it would end a loop of the tests or their process unnoticed."""
        args = self.decode(reply["args"])
        if isinstance(own := reply.get("own"), list):
            proxy = self._object(int(own[1]), int(own[2]), args)
            if isinstance(proxy, BaseException) and not isinstance(proxy, StopIteration | StopAsyncIteration):
                return proxy
        kind = getattr(builtins, str(reply["raised"]), Exception)
        error: BaseException = kind(*args) if isinstance(kind, type) and issubclass(kind, BaseException) else Exception(*args)
        if isinstance(error, StopIteration | StopAsyncIteration) and not may_stop:
            return RuntimeError(f"the program raised {type(error).__name__}")  # as a generator would, see PEP 479
        if isinstance(error, SystemExit):
            error.__dict__["of_program"] = True
        return error

    def import_names(self, namespace: dict[str, Any], wanted: set[str]) -> None:
        """Add the program's globals that tests use to their namespace; plain ones are updated after each call."""
        globals_ = self.call(-1, (sorted(wanted),), {}, "names")
        named = {str(name): value for name, value in dict(globals_).items() if name in wanted and not name.startswith("__")}
        own = _without_builtin_names(named)
        self.namespace, self.watched = namespace, frozenset(name for name, value in own.items() if type(value) in PLAIN)
        namespace.update(own)

    def plain(self, proxy: ObjectProxy) -> list[Any]:
        """Return the plain value of an object whose class inherits from a plain type, in a list; an empty list for others."""
        values = self.request("plain", proxy._sandbox_number)
        return values if type(values) is list and len(values) == 1 and type(values[0]) in PLAIN else []

    def special(self, proxy: ObjectProxy, name: str, *args: Any) -> Any:
        """Call a special method, and accept only a result that the method may have.

        Raises:
            TypeError: the result is of another type, or would let the program decide a comparison with a plain value.
        """
        with_plain = bool(args) and not isinstance(args[0], ObjectProxy)
        if with_plain and (name in _ORDER or name in _ARITHMETIC):
            if plain := self.plain(proxy):
                return getattr(plain[0], name, lambda *_: NotImplemented)(*args)
            if name in _ORDER:
                raise TypeError(f"{_ORDER[name]} between an object of the program and a plain value cannot decide a test")
        result = self.request("special", proxy._sandbox_number, name, *args)
        if name in _RETURN_TYPES and type(result) is not _RETURN_TYPES[name]:
            raise TypeError(f"{name} returned {type(result).__name__}")
        tainted = proxy._sandbox_tainted or (with_plain and name in _ARITHMETIC)
        if tainted and isinstance(result, ObjectProxy):
            object.__setattr__(result, "_sandbox_tainted", True)
        elif tainted and (name in _ARITHMETIC or name in _CONVERSIONS) and result is not NotImplemented:
            raise TypeError(
                f"{name} of an object of the program returned a plain value after arithmetic with the tests' numbers"
            )
        return result

    # -- Callbacks from the program. It may use the objects it was passed, not inspect them.

    def answer(self, request: Message) -> Message:
        """Perform an operation on an object that the program was passed."""
        try:
            target = self.lent[int(request["on"])]
            args = [self.decode(item) for item in request.get("args", ())]
            named = {str(key): self.decode(item) for key, item in request.get("named", {}).items()}
            return {"value": self.encode(self._perform(target, str(request["do"]), args, named))}
        except Exception as error:
            kind = next(item.__name__ for item in type(error).__mro__ if item.__module__ == "builtins")
            plain = [item if type(item) in (str, int, float, bool) else str(item) for item in error.args]
            return {"raised": kind, "args": self.encode(tuple(plain))}

    def _perform(self, target: Any, operation: str, args: list[Any], named: dict[str, Any]) -> Any:
        if operation == "call":
            return target(*args, **named)
        if operation == "attr" and type(target).__module__ == self.tests_module and not args[0].startswith("_"):
            return getattr(target, args[0])
        simple: dict[str, Callable[..., Any]] = {
            "iter": iter,
            "next": next,
            "len": len,
            "str": str,
            "item": lambda target, key: target[key],
        }
        if operation not in simple:
            raise AttributeError(args[0] if args else operation)
        return simple[operation](target, *args)


def _is_allowed(module: str, name: str) -> bool:
    """Return whether the program may pass this name to the tests: the shared modules and built-ins without side effects."""
    if module == "builtins":
        return name not in _FORBIDDEN_BUILTINS and not name.startswith("_")
    return module in serialization.SHARED and not name.startswith("_")


def _without_builtin_names(names: dict[str, Any]) -> dict[str, Any]:
    """Return the program's names without those of built-ins, unless it defines nothing else that the tests use.

    Some exercises ask for a function called `sum`; but a program that defines `abs` or `all` beside what it was asked for would
    decide its own tests.
    """
    own = {name: value for name, value in names.items() if not hasattr(builtins, name)}
    return own or names
