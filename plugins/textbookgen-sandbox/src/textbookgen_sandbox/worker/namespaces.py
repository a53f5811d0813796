"""The namespace of the tests: their own globals, behind them the program's names, behind those the built-ins.

Threat: a program whose globals replace what the tests computed (`expected = 0`), or a built-in that they rely on. The program's
names are therefore never copied to the globals of the tests. They are looked up when the tests use a name that they did not
assign, where the interpreter looks for built-ins: in `__builtins__`, here a dict that asks for what it lacks.
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

LookUp = Callable[[str], Any]  # raises KeyError for a name that the program lacks
_PRISTINE = dict(vars(builtins))  # before any program has run
#: What `unittest` asks a module for, and a program could use to replace the tests.
_ASKED_BY_UNITTEST = frozenset({"load_tests", "setUpModule", "tearDownModule"})
_NOT_REPLACED = frozenset({"True", "False", "None", "NotImplemented", "Ellipsis", "__import__", "__build_class__"})


class ProgramNames(dict[str, Any]):
    """Built-ins of the tests, with the program's names behind them.

    Args:
        look_up: returns a global of the program.
        replaced: built-ins that tests use from the program instead.
    """

    def __init__(self, look_up: LookUp, replaced: Iterable[str]) -> None:
        # Others follow when they are used: to copy them all would write to the pages of each, which processes share.
        super().__init__(__import__=_PRISTINE["__import__"], __build_class__=_PRISTINE["__build_class__"])
        self._look_up = look_up
        self._replaced = frozenset(replaced)

    def __missing__(self, name: str) -> Any:
        if name in _PRISTINE and name not in self._replaced:
            value = self[name] = _PRISTINE[name]
            return value
        if type(name) is not str or name.startswith("__"):
            raise KeyError(name)
        return self._look_up(name)


class TestsModule(types.ModuleType):
    """The module `__main__` of tests that share a process with the program, whose classes pickle looks for there."""

    def __getattr__(self, name: str) -> Any:
        try:
            if name in _ASKED_BY_UNITTEST or name.startswith("__"):
                raise KeyError(name)
            return self.__dict__["__builtins__"]._look_up(name)
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


def create_tests_module(source: str, look_up: LookUp, used: Iterable[str], *, shared: bool) -> dict[str, Any]:
    """Create the module of the tests, register it as `__main__`, and return its globals.

    Args:
        source: the tests.
        look_up: returns a global of the program.
        used: the names of the program's globals that tests use.
        shared: whether the program runs in this process.
    """
    module = (TestsModule if shared else types.ModuleType)("__main__")
    vars(module)["__builtins__"] = ProgramNames(look_up, replaced_builtins(source, set(used)))
    sys.modules["__main__"] = module
    return vars(module)


def replaced_builtins(source: str, used: set[str]) -> set[str]:
    """Return the built-ins that the tests mean the program's functions by.

    Some exercises ask for a function called `sum`; but a program that defines `abs` or `all` beside what it was asked for would
    decide its own tests. A program's function of such a name is used where tests use no other of the program's names, or where
    an assertion compares a call of it with constants alone: `assert sum([1, 2]) == 3`.
    """
    candidates = {name for name in used if name in _PRISTINE} - _NOT_REPLACED
    if not candidates or candidates == used:
        return candidates
    nodes = list(ast.walk(ast.parse(source)))
    return {name for name in candidates if any(_tests_directly(node, name) for node in nodes)}


def _tests_directly(node: ast.AST, name: str) -> bool:
    """Return whether a node asserts what a call of this name with constants returns."""
    match node:
        case ast.Assert(test=ast.Compare(left=left, comparators=[right])):
            pass
        case ast.Call(func=ast.Attribute(attr=str(method)), args=[left, right, *_]) if method.startswith("assert"):
            pass
        case _:
            return False
    sides = (left, right), (right, left)
    return any(_is_call_of_constants(call, name) and _is_constant(other) for call, other in sides)


def _is_call_of_constants(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=called), args=args, keywords=keywords) if called == name:
            return all(map(_is_constant, (*args, *(keyword.value for keyword in keywords))))
    return False


def _is_constant(node: ast.expr) -> bool:
    return not any(isinstance(each, ast.Name | ast.Call | ast.Attribute) for each in ast.walk(node))
