"""Objects of the tests in the program's process: functions and instances that it was passed, operated on by requests."""

from __future__ import annotations

import builtins
import inspect
import types
from collections.abc import Callable
from typing import Any

#: Special methods that stand-ins forward, in both directions.
_SPECIAL = """
    call len iter next reversed getitem setitem delitem contains enter exit bool int float index complex round abs neg pos
    invert hash str repr format lt le gt ge add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift radd
    rsub rmul rtruediv rfloordiv rmod rpow rmatmul rand ror rxor rlshift rrshift iadd isub imul itruediv iand ior ixor
"""
SPECIAL = frozenset(f"__{name}__" for name in _SPECIAL.split())

#: Performs an operation on an object of the tests: its number, the operation, arguments and named arguments.
Perform = Callable[..., Any]


class BorrowedObject:
    """An object of the tests that was passed to the program; its operations are sent back to the tests.

    Its class has the special methods that the object's class has.
    """

    def __init__(self, perform: Perform, number: int) -> None:
        # Written past __setattr__ and __getattr__, which belong to the object it stands in for.
        self.__dict__.update(_sandbox_perform=perform, _sandbox_number=number)

    def __getattr__(self, name: str) -> Any:
        return self._sandbox_perform(self._sandbox_number, "attr", (name,))

    def __setattr__(self, name: str, value: Any) -> None:
        self._sandbox_perform(self._sandbox_number, "set", (name, value))

    def __eq__(self, other: object) -> bool:
        return self is other or self._sandbox_perform(self._sandbox_number, "special", ("__eq__", other)) is True

    def __hash__(self) -> int:
        return int(self._sandbox_perform(self._sandbox_number, "special", ("__hash__",)))


def _forward(name: str) -> Callable[..., Any]:
    if name == "__call__":
        return lambda self, *args, **named: self._sandbox_perform(self._sandbox_number, "call", args, named)
    return lambda self, *args: self._sandbox_perform(self._sandbox_number, "special", (name, *args))


_FORWARDS = {name: _forward(name) for name in SPECIAL}
_classes: dict[tuple[str, ...], type] = {}


def borrow_object(perform: Perform, number: int, name: str, special: list[str]) -> Any:
    """Return a stand-in for an object of the tests, whose class has this name and these special methods."""
    key = (name, *sorted(special))
    if key not in _classes:
        body = {item: _FORWARDS[item] for item in special if item in _FORWARDS}
        _classes[key] = type(name, (BorrowedObject,), body)
    return _classes[key](perform, number)


class _BorrowedClass(type):
    """Metaclass of stand-ins for classes of the tests: calling one creates an object in their process."""

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return cls._sandbox_perform(cls._sandbox_number, "call", args, named)

    def __getattr__(cls, name: str) -> Any:
        return cls._sandbox_perform(cls._sandbox_number, "attr", (name,))


def borrow_class(perform: Perform, number: int, name: str, error: str) -> Any:
    """Return a stand-in for a class of the tests; one of errors can be raised and caught by the program."""
    body = {"_sandbox_number": number, "__module__": "__main__"}
    kind = getattr(builtins, error, None) if error else None
    if isinstance(kind, type) and issubclass(kind, BaseException):
        return type(str(name), (kind,), body)
    return _BorrowedClass(str(name), (), {**body, "_sandbox_perform": staticmethod(perform)})


def borrow_function(perform: Perform, number: int, kind: str, name: str, docstring: str | None, parameters: Any) -> Any:
    """Return a function that calls one of the tests, so that decorators, `inspect` and methods treat it as a function."""

    def function(*args: Any, **named: Any) -> Any:
        return perform(number, "call", args, named)

    async def coroutine(*args: Any, **named: Any) -> Any:
        return perform(number, "await", args, named)

    stand_in: Any = coroutine if kind == "async" else function
    stand_in.__name__ = stand_in.__qualname__ = str(name)
    stand_in.__doc__, stand_in.__module__ = docstring, "__main__"
    if parameters:
        set_signature(stand_in, parameters)
    return stand_in


def describe_function(function: Any, with_signature: bool) -> list[Any]:
    """Return kind, name, docstring and parameters of a Python function; a parameter is its name, kind and optionality.

    Parameters are left out unless `with_signature`: few programs ask, and to make a signature takes as long as a call.
    """
    code = function.__code__
    kind = "async" if code.co_flags & inspect.CO_COROUTINE else "function"
    docstring = function.__doc__ if isinstance(function.__doc__, str) else None
    return [kind, str(function.__name__), docstring, _parameters(function, code) if with_signature else []]


def _parameters(function: Any, code: types.CodeType) -> list[list[Any]]:
    positional, total = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames
    first_default = positional - len(function.__defaults__ or ())
    parameters = [
        [names[place], 0 if place < code.co_posonlyargcount else 1, place >= first_default] for place in range(positional)
    ]
    if code.co_flags & inspect.CO_VARARGS:
        parameters.append([names[total], 2, False])
    parameters += [[name, 3, name in (function.__kwdefaults__ or {})] for name in names[positional:total]]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        parameters.append([names[total + bool(code.co_flags & inspect.CO_VARARGS)], 4, False])
    return parameters


def set_signature(function: Any, parameters: Any) -> None:
    """Give a stand-in the signature of its function, as far as names and optionality go; malformed ones are left out."""
    try:
        function.__signature__ = inspect.Signature(
            [
                inspect.Parameter(str(name), inspect._ParameterKind(kind), default=... if optional else inspect.Parameter.empty)
                for name, kind, optional in parameters
            ]
        )
    except (TypeError, ValueError):
        pass


def make_error(kind: Any, args: Any) -> BaseException:
    """Return an error of a class, or of the built-in one of a name, with these arguments; an `Exception` if there is none."""
    named = getattr(builtins, kind, None) if isinstance(kind, str) else kind
    error: type[BaseException] = named if isinstance(named, type) and issubclass(named, BaseException) else Exception
    try:
        return error(*args)
    except TypeError:
        return Exception(*args)
