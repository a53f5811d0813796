"""The tests' end of the wire: stand-ins for the program's functions, classes and objects, which answer from its process.

What decides a test is compared here, where the program cannot reach. So an object of the program's own making is never equal to
a plain value, unless it is a kind of that plain type and has its value; and where arithmetic told the program a number of the
tests', nothing plain is taken from its answer.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable
from typing import Any

from . import values
from .lender import PLAIN, SPECIAL
from .wire import Message, Wire

_OPERATORS = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
_ARITHMETIC = frozenset(f"__{side}{name}__" for name in _OPERATORS.split() for side in ("", "r", "i"))
_ORDER = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
_CONVERSIONS = frozenset(f"__{name}__" for name in ("abs", "neg", "pos", "invert", "round", "int", "float", "index", "complex"))
_ASKED_DUNDERS = frozenset(
    {"__name__", "__qualname__", "__doc__", "__dict__", "__annotations__", "__defaults__", "__wrapped__"}
)
_MUST_BE: dict[str, type] = {
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
_NOT_LET_IN = frozenset(
    {"exit", "quit", "open", "input", "breakpoint", "eval", "exec", "compile", "__import__", "help", "setattr", "delattr"}
)


class _Class(type):
    """The class of stand-in classes: calling one makes an object in the program's process."""

    borrower: Borrower
    number: int

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return cls.borrower.call(cls.number, args, named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return cls.borrower.ask("get", cls.number, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls.borrower.ask("set", cls.number, name, value)


def _of_class(name: str) -> Callable[..., Any]:
    def forward(cls: Any, *args: Any) -> Any:
        return cls.borrower.ask("special", cls.number, name, *args)

    return forward


class _Collection(_Class):
    """The class of stand-ins for enumerations, which are collections of their members."""

    __iter__ = _of_class("__iter__")
    __len__ = _of_class("__len__")
    __getitem__ = _of_class("__getitem__")
    __contains__ = _of_class("__contains__")


class StandIn:
    """An object of the program's; it has the special methods that the object's class has."""

    _sandbox_borrower: Borrower
    _sandbox_number: int
    _sandbox_told: bool  # whether it came of arithmetic with a number of the tests'

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _ASKED_DUNDERS:
            raise AttributeError(name)
        return self._sandbox_borrower.ask("get", self._sandbox_number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._sandbox_borrower.ask("set", self._sandbox_number, name, value)

    def __delattr__(self, name: str) -> None:
        self._sandbox_borrower.ask("delete", self._sandbox_number, name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StandIn):
            return self is other or self._sandbox_borrower.ask("same", self._sandbox_number, other) is True
        plain = self._sandbox_borrower.plain(self)
        return bool(plain) and bool(plain[0] == other)

    def __hash__(self) -> int:
        return int(self._sandbox_borrower.special(self, "__hash__"))

    def __deepcopy__(self, _: Any) -> Any:
        return self._sandbox_borrower.ask("copy", self._sandbox_number)


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: StandIn, *args: Any) -> Any:
        return self._sandbox_borrower.special(self, name, *args)

    forward.__name__ = name
    return forward


def _call(self: StandIn, *args: Any, **named: Any) -> Any:
    return self._sandbox_borrower.call(self._sandbox_number, args, named)


_FORWARDS = {name: _forward(name) for name in SPECIAL - {"__hash__"}} | {"__call__": _call}
_FUNCTIONS = frozenset({"function", "method", "builtin_function_or_method"})


class Borrower:
    """Asks the program's process, and makes stand-ins of what it answers."""

    def __init__(self, fd: int, tests_module: str) -> None:
        self.lent: list[Any] = []
        self.classes: dict[int, type] = {}
        self.objects: dict[int, Any] = {}
        self.namespace: dict[str, Any] = {}
        self.followed: frozenset[str] = frozenset()
        self.tests_module = tests_module
        self.wire = Wire(fd, self.answer)

    # -- Values, there and back.

    def encode(self, value: Any) -> values.Encoded:
        """A value for the program."""
        return values.encode(value, self._lend)

    def decode(self, value: values.Encoded) -> Any:
        """A value from the program."""
        return values.decode(value, self._stand_in, _may)

    def _lend(self, value: Any) -> values.Encoded:
        number = value.__dict__.get("sandbox_number") if isinstance(value, types.FunctionType) else None
        if isinstance(value, _Class):
            number = value.number
        elif isinstance(value, StandIn):
            number = object.__getattribute__(value, "_sandbox_number")
        if number is not None:
            return ["yours", number]
        self.lent.append(value)
        return ["lent", len(self.lent) - 1]

    def _stand_in(self, named: list[Any]) -> Any:
        kind, number = str(named[0]), int(named[1])
        if kind == "yours":
            return self.lent[number]
        if kind == "class":
            return self._class(number)
        if number not in self.objects:
            function = kind in ("function", "async")
            self.objects[number] = self._function(number, *named) if function else self._object(number, int(named[2]))
        return self.objects[number]

    def _object(self, number: int, class_number: int, args: tuple[Any, ...] = ()) -> Any:
        kind = self._class(class_number)
        made = kind.__new__(kind, *args) if issubclass(kind, BaseException) else object.__new__(kind)
        for name, value in (("_sandbox_borrower", self), ("_sandbox_number", number), ("_sandbox_told", False)):
            object.__setattr__(made, name, value)
        return made

    def _function(self, number: int, kind: str, _: int, name: str, words: str | None) -> Any:
        def stand_in(*args: Any, **named: Any) -> Any:
            return self.call(number, args, named)

        async def coroutine(*args: Any, **named: Any) -> Any:
            return self.call(number, args, named, "await")

        made: Any = coroutine if kind == "async" else stand_in
        made.__name__ = made.__qualname__ = str(name)
        made.__doc__, made.__module__, made.sandbox_number = words, "__main__", number
        return made

    def _class(self, number: int, depth: int = 0) -> type:
        """The stand-in for a class, made when first seen."""
        if number not in self.classes:
            name, base_numbers, special, of_class, error, hashable, words = self.ask("describe", number)
            bases: list[type] = [self._class(int(item), depth + 1) for item in base_numbers] if depth < 20 else []
            root = getattr(builtins, error, None) if error else None
            if isinstance(root, type) and issubclass(root, Exception) and not any(issubclass(base, root) for base in bases):
                bases.append(root)
            if not any(issubclass(base, StandIn) for base in bases):
                bases.insert(0, StandIn)
            body: dict[str, Any] = {item: _FORWARDS[item] for item in special if item in _FORWARDS}
            own_words = property(lambda it: self.ask("get", it._sandbox_number, "__doc__"))
            body.update({"borrower": self, "number": number, "__module__": "__main__"})
            body["__doc__"] = own_words if name in _FUNCTIONS else words
            if not hashable:
                body["__hash__"] = None
            self.classes[number] = (_Collection if of_class else _Class)(str(name), tuple(bases), body)
        return self.classes[number]

    # -- Asking.

    def ask(self, what: str, number: int, *args: Any) -> Any:
        """Asks for something that is done with an object of the program's."""
        return self.call(number, args, {}, what)

    def call(self, number: int, args: tuple[Any, ...], named: dict[str, Any], what: str = "call") -> Any:
        """Calls an object of the program's; lists and the like that it changes are changed here too."""
        names = {key: self.encode(item) for key, item in named.items()}
        reply = self.wire.ask({"do": what, "on": number, "args": [self.encode(item) for item in args], "named": names})
        if printed := reply.get("printed"):
            sys.stdout.write(str(printed))
        for mine, now in zip(args, reply.get("args_now", ()), strict=False):
            if now is not None:
                values.refill(mine, self.decode(now))
        for name, value in reply.get("globals", {}).items():
            if name in self.followed:
                self.namespace[name] = self.decode(value)
        if "raised" in reply:
            raise self._error(reply, may_stop=what == "special" and args[:1] == ("__next__",))
        value = reply["value"]
        if isinstance(value, list) and value[0] == "argument":
            return args[int(value[1])]
        return self.decode(value)

    def _error(self, reply: Message, may_stop: bool) -> BaseException:
        """The error the program raised; one that would end a loop or leave the tests unseen is made one that does not."""
        args = self.decode(reply["args"])
        if isinstance(own := reply.get("own"), list):
            made = self._object(int(own[1]), int(own[2]), args)
            if isinstance(made, BaseException) and not isinstance(made, StopIteration | StopAsyncIteration):
                return made
        kind = getattr(builtins, str(reply["raised"]), Exception)
        error: BaseException = kind(*args) if isinstance(kind, type) and issubclass(kind, BaseException) else Exception(*args)
        if isinstance(error, StopIteration | StopAsyncIteration) and not may_stop:
            return RuntimeError(f"the program raised {type(error).__name__}")  # as a generator would, see PEP 479
        if isinstance(error, SystemExit):
            error.__dict__["of_program"] = True
        return error

    def take(self, namespace: dict[str, Any], wanted: set[str]) -> None:
        """Fills the tests' namespace with the names they use of the program's; plain ones are kept up to date."""
        result = self.call(-1, (sorted(wanted),), {}, "names")
        named = {str(name): value for name, value in dict(result).items() if name in wanted and not name.startswith("__")}
        own = _not_in_disguise(named)
        self.namespace, self.followed = namespace, frozenset(name for name, value in own.items() if type(value) in PLAIN)
        namespace.update(own)

    def plain(self, it: StandIn) -> list[Any]:
        """The plain value that an object is a kind of, in a list."""
        result = self.ask("plain", it._sandbox_number)
        return result if type(result) is list and len(result) == 1 and type(result[0]) in PLAIN else []

    def special(self, it: StandIn, name: str, *args: Any) -> Any:
        """Calls a special method, and takes only such an answer as the method may give.

        Raises:
            TypeError: the answer is not of its type, or would let the program decide a comparison with a plain value.
        """
        stranger = bool(args) and not isinstance(args[0], StandIn)
        if stranger and (name in _ORDER or name in _ARITHMETIC):
            if plain := self.plain(it):
                return getattr(plain[0], name, lambda *_: NotImplemented)(*args)
            if name in _ORDER:
                raise TypeError(
                    f"{_ORDER[name]} between an object of the program and a plain value is not for the program to say"
                )
        answer = self.ask("special", it._sandbox_number, name, *args)
        if name in _MUST_BE and type(answer) is not _MUST_BE[name]:
            raise TypeError(f"{name} returned {type(answer).__name__}")
        told = it._sandbox_told or (stranger and name in _ARITHMETIC)
        if told and isinstance(answer, StandIn):
            object.__setattr__(answer, "_sandbox_told", True)
        elif told and (name in _ARITHMETIC or name in _CONVERSIONS) and answer is not NotImplemented:
            raise TypeError(f"{name} of an object of the program that met a number of the tests gave a plain value")
        return answer

    # -- Answering: callbacks, and little else. The program may use what it was handed, not look into it.

    def answer(self, request: Message) -> Message:
        """Does what the program asks with a thing it was handed."""
        try:
            it = self.lent[int(request["on"])]
            args = [self.decode(item) for item in request.get("args", ())]
            named = {str(key): self.decode(item) for key, item in request.get("named", {}).items()}
            return {"value": self.encode(self._use(it, str(request["do"]), args, named))}
        except Exception as error:
            kind = next(item.__name__ for item in type(error).__mro__ if item.__module__ == "builtins")
            plain = [item if type(item) in (str, int, float, bool) else str(item) for item in error.args]
            return {"raised": kind, "args": self.encode(tuple(plain))}

    def _use(self, it: Any, what: str, args: list[Any], named: dict[str, Any]) -> Any:
        if what == "call":
            return it(*args, **named)
        if what == "attr" and type(it).__module__ == self.tests_module and not args[0].startswith("_"):
            return getattr(it, args[0])
        simple: dict[str, Callable[..., Any]] = {
            "iter": iter,
            "next": next,
            "len": len,
            "str": str,
            "item": lambda it, key: it[key],
        }
        if what not in simple:
            raise AttributeError(args[0] if args else what)
        return simple[what](it, *args)


def _may(module: str, name: str) -> bool:
    """What the program may name to the tests: what is shared, and built-in functions that do nothing to the world."""
    if module == "builtins":
        return name not in _NOT_LET_IN and not name.startswith("_")
    return module in values.SHARED and not name.startswith("_")


def _not_in_disguise(result: dict[str, Any]) -> dict[str, Any]:
    """The program's names, less those that would stand before built-ins, unless it brings nothing else the tests use.

    Exercises do ask for a function called `sum`; a program that defines `abs` or `all` beside what it was asked for would
    decide its own tests.
    """
    own = {name: value for name, value in result.items() if not hasattr(builtins, name)}
    return own or result
