"""Object server in the program's process: keeps the program's objects and performs the operations the tests request on them."""

from __future__ import annotations

import builtins
import copy
import dataclasses
import io
import operator
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from . import execution, serialization
from .borrowed import SPECIAL, BorrowedObject, borrow_class, borrow_function, borrow_object, describe_function, make_error
from .rpc import Connection, Message
from .shared_values import MUTABLE, SharedValues

#: Types whose values are copied, and that the program's classes may inherit from.
PLAIN = (bool, int, float, complex, str, bytes, tuple, frozenset, list, dict, set, bytearray)
_TO_PLAIN: dict[Any, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
}  # these ignore what a class of the program overrides
_PLAIN_ARGUMENTS = (str, int, float, bool, bytes, type(None))  # of errors; others are sent as text
_BORROW: dict[str, Callable[..., Any]] = {"lent": borrow_object, "function": borrow_function, "type": borrow_class}
_MAX_CAUSES = 3
_MAX_CAPTURED = 4 << 20  # bytes of output that are returned to the tests with a reply; more goes to stdout itself


class CapturedOutput(io.TextIOWrapper):
    """A stand-in for stdout whose content is returned to the tests, where they may have redirected it."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", errors="backslashreplace", write_through=True)

    def write(self, text: str) -> int:
        """Keep the text; past the limit it goes to stdout, where the supervisor counts it."""
        if self.size() > _MAX_CAPTURED:
            return (sys.__stdout__ or self).write(text) if sys.__stdout__ is not self else len(text)
        return super().write(text)

    def size(self) -> int:
        """Return the number of bytes written."""
        return self.bytes.getbuffer().nbytes

    def message(self) -> Message:
        """Return what was written, also past the text layer: as text, or as bytes where it is none."""
        data = self.bytes.getvalue()
        try:
            return {"printed": data.decode()}
        except UnicodeDecodeError:
            return {"printed_bytes": data.hex()}


class TestsInput(io.TextIOBase):
    """A stand-in for stdin that reads what the tests put in place of theirs."""

    def __init__(self, read_line: Callable[[], str], read: Callable[[], str]) -> None:
        self._read_line, self._read = read_line, read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """Return the next line of the tests' input."""
        return self._read_line()

    def read(self, size: int | None = -1, /) -> str:
        """Return the rest of the tests' input."""
        return self._read()


class ObjectServer:
    """Numbers the program's objects, so that tests can refer to them, and operates on them."""

    def __init__(self, namespace: dict[str, Any], fd: int, with_signatures: bool = False) -> None:
        self.with_signatures = with_signatures  # of functions: whether the program asks for them
        self.captured: CapturedOutput | None = None  # unused so far
        self.namespace = namespace
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.borrowed: dict[int, Any] = {}
        self.borrowed_numbers: dict[int, int] = {}  # by id of the stand-in
        self.borrowed_errors: dict[int, tuple[BaseException, int]] = {}
        self.remembered: dict[str, Any] = {}  # globals that the tests' process keeps, until one is rebound
        self.shared = SharedValues(1)
        self.codec = serialization.Codec(self.shared, self._reference, self._resolve, lambda module, name: True)
        self.connection = Connection(fd, self.answer)
        self.depth = 0
        self.send_signatures = False

    # -- References

    def _reference(self, value: Any) -> serialization.Encoded:
        if isinstance(value, BorrowedObject):
            return ["yours", value.__dict__["_sandbox_number"]]
        if id(value) in self.borrowed_numbers:
            return ["yours", self.borrowed_numbers[id(value)]]
        number = self._number(value)
        if isinstance(value, type):
            return ["class", number]
        if type(value) is types.FunctionType and not value.__dict__:  # the most frequent case, described in one message
            return ["function", number, *describe_function(value, self.send_signatures)]
        return ["object", number, self._number(type(value))]

    def _number(self, value: Any) -> int:
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.objects)
            self.objects.append(value)
        return self.numbers[id(value)]

    def _resolve(self, reference: list[Any]) -> Any:
        kind, number, *description = reference
        if kind == "yours":
            return self.objects[number]
        if number not in self.borrowed:
            if kind == "function" and not self.with_signatures:
                description[-1] = []
            self.borrowed[number] = _BORROW[kind](self.call_back, number, *description)
            self.borrowed_numbers[id(self.borrowed[number])] = number
        return self.borrowed[number]

    # -- Messages

    def call_back(self, number: int, operation: str, args: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
        """Perform an operation on an object of the tests and return its result, or raise what it raised."""
        encode = self.codec.encode
        self.shared.open_scope()
        try:
            message: Message = {"do": operation, "on": number, "changes": self.codec.encode_changes(all_of_them=False)}
            message["args"] = [encode(item) for item in args]
            message["named"] = {key: encode(item) for key, item in (named or {}).items()}
            reply = self.connection.request(message)
            self._accept(reply)
            if "raised" in reply:
                raise self._borrowed_error(reply)
            return self.codec.decode(reply["value"])
        finally:
            self.shared.close_scope()

    def _borrowed_error(self, reply: Message) -> BaseException:
        """Return what an object of the tests raised: an error of the program, or a stand-in for one of the tests."""
        if "own" in reply:
            own = self.codec.decode(reply["own"])
            if isinstance(own, BaseException):
                return own
        kind = self.codec.decode(reply["kind"]) if "kind" in reply else reply["raised"]
        error = make_error(kind, self.codec.decode(reply["args"]))
        self.borrowed_errors[id(error)] = error, reply["lent"]
        return error

    def _accept(self, message: Message) -> None:
        """Take over what the tests changed and forgot."""
        for item in message.get("changes", ()):
            self.codec.decode(item)
        self.shared.forget(message.get("forget", ()))

    def answer(self, request: Message) -> Message:
        """Perform a requested operation; reply with its value or error, what it printed, and what it changed."""
        stdout, stdin, printing, asking = sys.stdout, sys.stdin, builtins.print, builtins.input
        captured, self.captured = self.captured or CapturedOutput(), None
        sys.stdout = captured
        self.depth += 1
        try:
            reply = self._perform(request)
        except BaseException as error:
            reply = self._error_reply(error)
        finally:
            self.depth -= 1
            sys.stdout, sys.stdin = stdout, stdin
            builtins.print, builtins.input = printing, asking
        if captured.size():
            reply |= captured.message()
        else:
            self.captured = captured
        self._add_changes(reply)
        return reply

    def _perform(self, request: Message) -> Message:
        self._accept(request)
        decode = self.codec.decode
        if "builtins" in request:
            builtins.print, builtins.input = map(decode, request["builtins"])
        if "stdin" in request:
            sys.stdin = TestsInput(*map(decode, request["stdin"]))
        if "random" in request:
            random.setstate(decode(request["random"]))
        args = [decode(item) for item in request.get("args", ())]
        named = {key: decode(item) for key, item in request.get("named", {}).items()}
        value = getattr(self, f"do_{request['do']}")(request.get("on"), *args, **named)
        return {"value": self._encode_safely(value)}

    def _encode_safely(self, value: Any) -> serialization.Encoded:
        try:
            return self.codec.encode(value)
        except BaseException:
            self.shared.drop_all()
            raise

    def _add_changes(self, reply: Message) -> None:
        try:
            if changes := self.codec.encode_changes(all_of_them=self.depth == 0):
                reply["changes"] = changes
        except BaseException as error:
            self.shared.drop_all()
            reply.clear()
            reply.update(self._error_reply(error))
        if forgotten := self.shared.take_forgotten():
            reply["forget"] = forgotten
        if stale := [name for name, value in self.remembered.items() if self.namespace.get(name) is not value]:
            reply["stale"] = stale
            for name in stale:
                del self.remembered[name]

    def _error_reply(self, error: BaseException, depth: int = 0) -> Message:
        if id(error) in self.borrowed_errors:
            return {"lent": self.borrowed_errors[id(error)][1], "raised": "Exception", "args": ["tuple"]}
        kind = type(error)
        if id(kind) in self.borrowed_numbers:
            return {"lent_class": self.borrowed_numbers[id(kind)], "raised": "Exception", "args": self.codec.encode(error.args)}
        plain = [item if type(item) in _PLAIN_ARGUMENTS else str(item) for item in error.args]
        own = kind.__module__ != "builtins" or bool(vars(error))
        reply: Message = {"raised": execution.builtin_error_name(error), "args": self.codec.encode(tuple(plain))}
        if own:
            reply["own"] = ["object", self._number(error), self._number(kind)]
        if error.__cause__ is not None and depth < _MAX_CAUSES:
            reply["cause"] = self._error_reply(error.__cause__, depth + 1)
        return reply

    # -- Operations that tests can request: `do_NAME` performs the operation NAME on the object of a number.

    def do_names(self, _: Any, wanted: list[str], *, with_signatures: bool) -> tuple[list[str], dict[str, Any]]:
        """Return which of these globals the program has, and those that the tests' process may keep: functions and the like.

        Plain values are not among these; they are read when the tests use them.
        """
        self.send_signatures = with_signatures
        present = {name: self.namespace[name] for name in wanted if name in self.namespace}
        self.remembered = {name: value for name, value in present.items() if not _is_plain(value)}
        return list(present), dict(self.remembered)

    def do_defined(self, _: Any) -> list[str]:
        """Return the names of all globals of the program."""
        return [name for name in self.namespace if isinstance(name, str) and not name.startswith("__")]

    def do_global(self, _: Any, name: str) -> list[Any]:
        """Return a global of the program in a list, with whether it may be kept; an empty list if there is none."""
        if name not in self.namespace:
            return []
        value = self.namespace[name]
        if keep := not _is_plain(value):
            self.remembered[name] = value
        return [value, keep]

    def do_describe(self, number: int) -> list[Any]:
        """Return a class's name, bases, special methods, those of its metaclass, other methods, traits and docstring."""
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
        functions = [item for item in vars(kind).items() if type(item[1]) is types.FunctionType and is_method(item[0])]
        methods = [[name, item.__doc__ if isinstance(item.__doc__, str) else None] for name, item in functions]
        docstring = kind.__doc__ if isinstance(kind.__doc__, str) else None
        traits = {"hashable": kind.__hash__ is not None, "generic": hasattr(kind, "__class_getitem__"), "error": error}
        return [kind.__name__, [self._number(base) for base in direct], special, of_class, methods, traits, docstring]

    def do_subclass(self, _: Any, name: str, bases: list[Any], body: list[Any]) -> int:
        """Create a subclass of the program's classes from the functions and values of one that tests define."""
        wrappers: dict[str, Callable[[Any], Any]] = {"static": staticmethod, "class": classmethod, "property": property}
        members = {key: wrappers[kind](item) if kind in wrappers else item for key, kind, item in body}
        members["__module__"] = "__main__"
        return self._number(types.new_class(name, tuple(bases), {}, lambda namespace: namespace.update(members)))

    def do_call(self, number: int, *args: Any, **named: Any) -> Any:
        """Call a function, a class or an object."""
        return self.objects[number](*args, **named)

    def do_method(self, number: int, target: Any, method: str, /, *args: Any, **named: Any) -> Any:
        """Call a method of a class on an object, or what the object itself has under this name."""
        if method in getattr(target, "__dict__", ()):
            return getattr(target, method)(*args, **named)
        return getattr(self.objects[number], method)(target, *args, **named)

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

    def do_dir(self, number: int) -> list[str]:
        """Return the names of the attributes."""
        return dir(self.objects[number])

    def do_set(self, number: int, name: str, value: Any) -> None:
        """Set an attribute."""
        setattr(self.objects[number], name, value)

    def do_delete(self, number: int, name: str) -> None:
        """Delete an attribute."""
        delattr(self.objects[number], name)

    def do_same(self, number: int, other: Any) -> bool:
        """Return whether two objects of the program are equal by their own `__eq__`."""
        return bool(operator.eq(self.objects[number], other))

    def do_copy(self, number: int, *, deep: bool) -> Any:
        """Return a copy."""
        return (copy.deepcopy if deep else copy.copy)(self.objects[number])

    def do_dataclass(self, number: int, function: str, /, **changes: Any) -> Any:
        """Apply a function of `dataclasses` to an object."""
        return getattr(dataclasses, function)(self.objects[number], **changes)

    def do_plain(self, number: int) -> Any:
        """Return the plain value of an object whose class inherits from a plain type, in a list; an empty list for others.

        A named tuple has its tuple, an `IntEnum` member its int.
        """
        target = self.objects[number]
        base: Any = next((item for item in PLAIN if isinstance(target, item)), None)
        return [] if base is None else [_TO_PLAIN.get(base, base)(target)]


def is_method(name: object) -> bool:
    """Return whether a proxy for a class may have a method of this name: no special one, which could decide a comparison."""
    return isinstance(name, str) and (name == "__init__" or not (name.startswith("__") and name.endswith("__")))


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (*PLAIN, *MUTABLE)
