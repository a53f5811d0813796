"""Client in the process of the tests: requests operations on the program's objects, and decides what may come back.

Threat: an answer that would let the program decide a comparison, end the tests unnoticed, or reach what it was not passed.
"""

from __future__ import annotations

import builtins
import dataclasses
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from . import serialization
from .borrowed import SPECIAL, borrow_function, describe_function, make_error
from .object_server import PLAIN, is_method
from .proxies import FORWARDS, EnumProxyClass, ObjectProxy, ProxyClass, forward_method
from .rpc import Connection, Message
from .shared_values import SharedValues

_OPERATORS = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
_ARITHMETIC = frozenset(f"__{side}{name}__" for name in _OPERATORS.split() for side in ("", "r", "i"))
_ORDER = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
_CONVERSIONS = frozenset(f"__{name}__" for name in ("abs", "neg", "pos", "invert", "round", "int", "float", "index", "complex"))
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
_FUNCTIONS = frozenset({"function", "method", "builtin_function_or_method"})
_OWN_MEMBERS = frozenset({"__module__", "__qualname__", "__classcell__", "__dict__", "__weakref__", "__firstlineno__"})
_DATACLASS_FUNCTIONS = frozenset({"asdict", "astuple", "replace"})
_RANDOM_FUNCTIONS = frozenset({"seed", "setstate", "getstate"})
_SIGNATURE_FUNCTIONS = frozenset({"signature", "getfullargspec", "Signature"})


class ProxyClient:
    """Requests operations from the program's process and returns proxies for the objects it replies with.

    Args:
        fd: the socket.
        tests_module: the module in whose name the tests run; the program may use attributes of objects of its classes.
        names: names and attributes that tests use.
    """

    def __init__(self, fd: int, tests_module: str, names: frozenset[str]) -> None:
        self.wanted = names
        self.with_signatures = not names.isdisjoint(_SIGNATURE_FUNCTIONS)
        self.lent: list[Any] = []  # objects of the tests that the program was passed
        self.lent_numbers: dict[int, int] = {}
        self.classes: dict[int, type] = {}
        self.objects: dict[int, Any] = {}
        self.names: dict[str, Any] = {}  # globals of the program that stay the same until it says otherwise
        self.tests_module = tests_module
        self.random_is_set = False  # by the tests, since the program last got its state
        self.stdin = sys.stdin
        self.builtins = builtins.print, builtins.input
        self.shared = SharedValues(0)
        self.codec = serialization.Codec(self.shared, self._reference, self._resolve, _is_allowed)
        self.connection = Connection(fd, self.answer)
        self.depth = 0
        for name in _RANDOM_FUNCTIONS & names:
            setattr(random, name, self._random_function(getattr(random, name)))
        for name in _DATACLASS_FUNCTIONS & names:
            setattr(dataclasses, name, self._dataclass_function(name, getattr(dataclasses, name)))

    # -- References

    def _reference(self, value: Any) -> serialization.Encoded:
        number = value.__dict__.get("sandbox_number") if type(value) is types.FunctionType else None
        if isinstance(value, ProxyClass):
            number = value._sandbox_class
        elif isinstance(value, ObjectProxy):
            number = value._sandbox_number
        if number is not None:
            return ["yours", number]
        number = self._lend(value)
        if type(value) is types.FunctionType:
            return ["function", number, *describe_function(value, with_signature=True)]
        if isinstance(value, type):
            errors = (base.__name__ for base in value.__mro__ if base.__module__ == "builtins")
            return ["type", number, value.__name__, next(errors) if issubclass(value, BaseException) else ""]
        kind = type(value)
        special = [name for name in SPECIAL if getattr(kind, name, None) not in (None, getattr(object, name, None))]
        return ["lent", number, kind.__name__, special]

    def _lend(self, value: Any) -> int:
        if id(value) not in self.lent_numbers:
            self.lent_numbers[id(value)] = len(self.lent)
            self.lent.append(value)
        return self.lent_numbers[id(value)]

    def _resolve(self, reference: list[Any]) -> Any:
        kind, number = str(reference[0]), int(reference[1])
        if kind == "yours":
            return self.lent[number]
        if kind == "class":
            return self._class(number)
        if number not in self.objects:
            if kind == "function":
                self.objects[number] = self._function(number, *reference[2:])
            else:
                self.objects[number] = self._object(number, int(reference[2]))
        return self.objects[number]

    def _object(self, number: int, class_number: int, args: tuple[Any, ...] = ()) -> Any:
        kind = self._class(class_number)
        proxy = kind.__new__(kind, *args) if issubclass(kind, BaseException) else object.__new__(kind)
        for name, value in (("_sandbox_client", self), ("_sandbox_number", number), ("_sandbox_tainted", False)):
            object.__setattr__(proxy, name, value)
        return proxy

    def _function(self, number: int, *description: Any) -> Any:
        def perform(number: int, operation: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return self.call(number, args, named, operation)

        proxy = borrow_function(perform, number, *description)
        proxy.sandbox_number = number
        return proxy

    def _class(self, number: int, depth: int = 0) -> type:
        """Return the proxy for a class, created when first seen."""
        if number not in self.classes:
            title, base_numbers, special, of_class, methods, traits, docstring = self.request("describe", number)
            bases: list[type] = [self._class(int(item), depth + 1) for item in base_numbers] if depth < 20 else []
            root = getattr(builtins, traits["error"], None) if traits["error"] else None
            if isinstance(root, type) and issubclass(root, Exception) and not any(issubclass(base, root) for base in bases):
                bases.append(root)
            if not any(issubclass(base, ObjectProxy) for base in bases):
                bases.insert(0, ObjectProxy)
            body: dict[str, Any] = {name: forward_method(self, number, name, text) for name, text in methods if is_method(name)}
            body |= {item: FORWARDS[item] for item in special if item in FORWARDS}
            own_docstring = property(lambda proxy: self.request("get", proxy._sandbox_number, "__doc__"))
            body.update({"_sandbox_client": self, "_sandbox_class": number, "__module__": "__main__"})
            body["__doc__"] = own_docstring if title in _FUNCTIONS else docstring
            if not traits["hashable"]:
                body["__hash__"] = None
            if traits["generic"]:
                body["__class_getitem__"] = classmethod(lambda cls, _: cls)
            self.classes[number] = (EnumProxyClass if of_class else ProxyClass)(str(title), tuple(bases), body)
        return self.classes[number]

    def create_subclass(self, created: Any, body: dict[str, Any]) -> None:
        """Create the counterpart of a class that tests derive from the program's classes."""
        kinds: dict[type, tuple[str, str]] = {
            staticmethod: ("static", "__func__"),
            classmethod: ("class", "__func__"),
            property: ("property", "fget"),
        }
        members = []
        for name, item in body.items():
            if name not in _OWN_MEMBERS:
                kind, attribute = kinds.get(type(item), ("", ""))
                members.append([name, kind, getattr(item, attribute) if attribute else item])
        bases = [base for base in created.__bases__ if isinstance(base, ProxyClass)]
        number = int(self.call(-1, (created.__name__, bases, members), {}, "subclass"))
        type.__setattr__(created, "_sandbox_class", number)
        self.classes[number] = created

    def _random_function(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that also gives the program the state of `random`; the program never sets that of the tests."""

        def apply(*args: Any, **named: Any) -> Any:
            self.random_is_set = True
            return original(*args, **named)

        return apply

    def _dataclass_function(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def apply(instance: Any, /, *args: Any, **named: Any) -> Any:
            if isinstance(instance, ObjectProxy) and not args:
                return self.call(instance._sandbox_number, (name,), named, "dataclass")
            return original(instance, *args, **named)

        return apply

    # -- Requests to the program

    def request(self, operation: str, number: int, *args: Any) -> Any:
        """Perform an operation on an object of the program and return its result."""
        return self.call(number, args, {}, operation)

    def call(self, number: int, args: tuple[Any, ...], named: dict[str, Any], operation: str = "call") -> Any:
        """Call an object of the program, or perform another operation on it; mutable values it changes are updated here."""
        reply = self.connection.request(self._message(number, args, named, operation))
        if "printed" in reply or "printed_bytes" in reply:
            _print_output(reply)
        if len(reply) > 1:
            self._accept(reply)
        if "raised" in reply:
            raise self._error(reply, may_stop=operation == "special" and args[:1] == ("__next__",))
        return self.codec.decode(reply["value"])

    def _message(self, number: int, args: tuple[Any, ...], named: dict[str, Any], operation: str) -> Message:
        """Return a request, with all that changed since the last one."""
        encode = self.codec.encode
        message: Message = {"do": operation, "on": number}
        try:
            if changes := self.codec.encode_changes(all_of_them=not self.depth):
                message["changes"] = changes
            if not self.depth:
                self.shared.prune()
            message["args"] = [encode(item) for item in args]
            if named:
                message["named"] = {key: encode(item) for key, item in named.items()}
            self._add_environment(message)
        except BaseException:
            self.shared.drop_all()
            raise
        if forgotten := self.shared.take_forgotten():
            message["forget"] = forgotten
        return message

    def _add_environment(self, message: Message) -> None:
        """Add the state of `random` and what the tests put in place of `input` and stdin."""
        if self.random_is_set:
            self.random_is_set = False
            message["random"] = self.codec.encode(_get_random_state())
        if builtins.print is not self.builtins[0] or builtins.input is not self.builtins[1]:
            message["builtins"] = [self.codec.encode(builtins.print), self.codec.encode(builtins.input)]
        if sys.stdin is not self.stdin:
            stdin = sys.stdin
            message["stdin"] = [self.codec.encode(lambda: stdin.readline()), self.codec.encode(lambda: stdin.read())]

    def _accept(self, reply: Message) -> None:
        """Take over what the program changed: mutable values and names."""
        for item in reply.get("changes", ()):
            self.codec.decode(item)
        self.shared.forget([number for number in reply.get("forget", ()) if type(number) is int])
        for name in reply.get("stale", ()):
            self.names.pop(name, None)

    def _error(self, reply: Message, may_stop: bool) -> BaseException:
        """Return the error the program raised, replaced if it would end a loop of the tests or their process unnoticed."""
        error = self._raised(reply)
        if isinstance(cause := reply.get("cause"), dict):
            error.__cause__ = self._error(cause, may_stop=True)
        if isinstance(error, StopIteration | StopAsyncIteration) and not may_stop:
            return RuntimeError(f"the program raised {type(error).__name__}")  # as a generator would, see PEP 479
        if isinstance(error, SystemExit):
            error.__dict__["of_program"] = True
        return error

    def _raised(self, reply: Message) -> BaseException:
        if type(lent := reply.get("lent", reply.get("lent_class"))) is int:
            item = self.lent[lent]
            if isinstance(item, type) and issubclass(item, Exception):
                return item(*self.codec.decode(reply["args"]))
            if isinstance(item, Exception):
                return item
        args = self.codec.decode(reply["args"])
        if isinstance(own := reply.get("own"), list):
            proxy = self._object(int(own[1]), int(own[2]), args)
            if isinstance(proxy, BaseException):
                return proxy
        return make_error(str(reply["raised"]), args)

    # -- Names of the program

    def import_names(self) -> list[str]:
        """Ask which of the names in tests are the program's, and for functions, classes and modules among them, all at once.

        Plain values are asked for when tests use them.
        """
        wanted = self.wanted
        names = sorted(name for name in wanted if not name.startswith("__"))
        options = {"with_signatures": self.with_signatures}
        present, kept = self.call(-1, (names,), options, "names")
        self.names = {str(name): value for name, value in dict(kept).items() if name in wanted}
        return [name for name in present if name in wanted]

    def defined_names(self) -> list[str]:
        """Return the names of all globals of the program."""
        return [str(name) for name in self.call(-1, (), {}, "defined")]

    def look_up(self, name: str) -> Any:
        """Return a global of the program as it is now.

        Raises:
            KeyError: there is none.
        """
        if name in self.names:
            return self.names[name]
        answer = self.call(-1, (name,), {}, "global")
        if not isinstance(answer, list) or len(answer) != 2:
            raise KeyError(name)
        value, keep = answer
        if keep is True:
            self.names[name] = value
        return value

    # -- Special methods

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
        self.depth += 1
        self.shared.open_scope()
        try:
            reply = self._answer(request)
            if changes := self.codec.encode_changes(all_of_them=False):
                reply["changes"] = changes
            return reply
        finally:
            self.shared.close_scope()
            self.depth -= 1

    def _answer(self, request: Message) -> Message:
        try:
            self._accept(request)
            target = self.lent[int(request["on"])]
            args = [self.codec.decode(item) for item in request.get("args", ())]
            named = {str(key): self.codec.decode(item) for key, item in request.get("named", {}).items()}
            return {"value": self.codec.encode(self._perform(target, str(request["do"]), args, named))}
        except Exception as error:
            return self._error_reply(error)

    def _error_reply(self, error: Exception) -> Message:
        kind = next(item.__name__ for item in type(error).__mro__ if item.__module__ == "builtins")
        plain = tuple(item if type(item) in (str, int, float, bool) else str(item) for item in error.args)
        reply: Message = {"raised": kind, "args": self.codec.encode(plain), "lent": self._lend(error)}
        if isinstance(error, ObjectProxy):
            reply["own"] = self._reference(error)
        elif type(error).__module__ == self.tests_module:
            reply["kind"] = self._reference(type(error))
        return reply

    def _perform(self, target: Any, operation: str, args: list[Any], named: dict[str, Any]) -> Any:
        if operation == "call":
            return target(*args, **named)
        if operation == "await":
            import asyncio  # rarely needed, and large: not preloaded

            return asyncio.run(target(*args, **named))
        if operation == "special" and args[0] in SPECIAL | {"__eq__", "__hash__"}:
            return getattr(type(target), args[0])(target, *args[1:])
        of_tests = (target if isinstance(target, type) else type(target)).__module__ == self.tests_module
        if operation in ("attr", "set") and of_tests and not args[0].startswith("_"):
            return getattr(target, args[0]) if operation == "attr" else setattr(target, *args)
        raise AttributeError(args[0] if args else operation)


_get_random_state = random.getstate  # before it is replaced


def _print_output(reply: Message) -> None:
    """Write what the program printed to where the tests print."""
    if printed := reply.get("printed"):
        sys.stdout.write(str(printed))
    if data := bytes.fromhex(reply.get("printed_bytes", "")):
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(data.decode("utf-8", "replace"))
        else:
            buffer.write(data)


def _is_allowed(module: str, name: str) -> bool:
    """Return whether the program may pass this name to the tests: the shared modules and built-ins without side effects."""
    if module == "builtins":
        return name not in _FORBIDDEN_BUILTINS and not name.startswith("_")
    return module in serialization.SHARED and not name.startswith("_")
