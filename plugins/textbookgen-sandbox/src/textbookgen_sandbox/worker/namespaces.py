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
        super().__init__(_PRISTINE)
        self._look_up = look_up
        for name in replaced:
            del self[name]

    def __missing__(self, name: str) -> Any:
        if type(name) is not str or name.startswith("__"):
            raise KeyError(name)
        return self._look_up(name)


class TestsModule(types.ModuleType):
    """The module `__main__` of tests that share a process with the program, whose classes pickle looks for there."""

    def __getattr__(self, name: str) -> Any:
        try:
            if name in _ASKED_BY_UNITTEST:
                raise KeyError(name)
            return self.__dict__["__builtins__"].__missing__(name)
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None


def create_tests_module(tests: ast.Module, look_up: LookUp, program_names: Iterable[str], *, shared: bool) -> dict[str, Any]:
    """Create the module of the tests, register it as `__main__`, and return its globals.

    Args:
        tests: the tests.
        look_up: returns a global of the program.
        program_names: the names of the program's globals, as far as tests use them.
        shared: whether the program runs in this process.
    """
    module = (TestsModule if shared else types.ModuleType)("__main__")
    vars(module)["__builtins__"] = ProgramNames(look_up, replaced_builtins(tests, set(program_names)))
    sys.modules["__main__"] = module
    return vars(module)


def replaced_builtins(tests: ast.Module, program_names: set[str]) -> set[str]:
    """Return the built-ins that the tests mean the program's functions by.

    Some exercises ask for a function called `sum`; but a program that defines `abs` or `all` beside what it was asked for would
    decide its own tests. A program's function of such a name is used where tests use no other of the program's names, or where
    an assertion compares a call of it with constants alone: `assert sum([1, 2]) == 3`.
    """
    used = {node.id for node in ast.walk(tests) if isinstance(node, ast.Name)} & program_names
    candidates = {name for name in used if hasattr(builtins, name)} - _NOT_REPLACED
    if not candidates or candidates == used:
        return candidates
    return {name for name in candidates if any(_tests_directly(node, name) for node in ast.walk(tests))}


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
