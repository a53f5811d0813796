"""Running tests as people write them: statements, `unittest` classes, `test_…` functions, doctests."""

from __future__ import annotations

import ast
import doctest
import io
import sys
import types
import unittest
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import execution
from .namespaces import LookUp, create_tests_module

TESTS_FILE = "tests.py"


def read_tests(source: str) -> ast.Module:
    """Return tests as a syntax tree; an interpreter session becomes a call that runs it.

    Raises:
        SyntaxError: the tests are neither Python nor a session.
    """
    if source.lstrip().startswith(">>>"):
        return ast.parse(f"__sandbox_session__({source!r})", TESTS_FILE)
    return execution.parse_source(source, TESTS_FILE)


def names_used(tree: ast.Module) -> set[str]:
    """Return the names that tests use, in sessions of their own, too."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for text in (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)):
        if ">>>" in text:
            names |= set(_session_names(text))
    return names


def _session_names(text: str) -> Iterable[str]:
    for example in doctest.DocTestParser().get_examples(text):
        try:
            yield from (node.id for node in ast.walk(ast.parse(example.source)) if isinstance(node, ast.Name))
        except SyntaxError:
            continue


def names_mentioned(tree: ast.Module) -> set[str]:
    """Return the names and attributes that tests use."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


@dataclass(frozen=True)
class ProgramGlobals:
    """Access of tests to the globals of a program.

    Attributes:
        look_up: returns a global by name; raises KeyError.
        used: the names among those that tests use.
        all_names: returns all names.
        shared: whether the program runs in this process.
    """

    look_up: LookUp
    used: Iterable[str]
    all_names: Callable[[], Iterable[str]]
    shared: bool


def run(tree: ast.Module, program: ProgramGlobals) -> None:
    """Run tests in their own namespace, and then what they define and do not run themselves.

    Raises:
        AssertionError: a test failed.
        BaseException: what else the tests raise.
    """
    namespace = create_tests_module(tree, program.look_up, program.used, shared=program.shared)
    doctest.testmod = _replaced_testmod(namespace, program, doctest.testmod)
    namespace["__builtins__"]["__sandbox_session__"] = lambda text: _run_session(text, "tests", namespace)
    exec(compile(tree, TESTS_FILE, "exec", dont_inherit=True), namespace)
    _run_what_is_left(tree, namespace)


def _run_session(text: str, name: str, namespace: dict[str, Any]) -> None:
    """Run the examples of a text.

    Raises:
        AssertionError: one of them prints something else.
    """
    output = io.StringIO()
    if _run_examples(text, name, namespace, output.write).failed:
        raise AssertionError(output.getvalue())


def _run_examples(
    text: str, name: str, namespace: dict[str, Any], out: Callable[[str], Any] | None, options: int = 0
) -> doctest.TestResults:
    test = doctest.DocTestParser().get_doctest(text, dict(namespace), name, TESTS_FILE, 0)
    return doctest.DocTestRunner(verbose=False, optionflags=options).run(test, out=out)


def _replaced_testmod(namespace: dict[str, Any], program: ProgramGlobals, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `doctest.testmod` that runs the examples of the program, whose functions belong to another module."""

    def testmod(m: Any = None, *args: Any, **options: Any) -> Any:
        if m is not None and m is not sys.modules.get("__main__"):
            return original(m, *args, **options)
        failed, attempted = 0, 0
        for name, docstring in _docstrings(program):
            found = _run_examples(docstring, name, namespace, None, int(options.get("optionflags", 0)))
            failed, attempted = failed + found.failed, attempted + found.attempted
        own = original(sys.modules["__main__"], *args, **options)
        return doctest.TestResults(failed + own.failed, attempted + own.attempted)

    return testmod


def _docstrings(program: ProgramGlobals) -> Iterable[tuple[str, str]]:
    """Yield the docstrings of the program's functions, classes and methods that have examples."""
    for name in program.all_names():
        target = program.look_up(name)
        if not callable(target) or getattr(target, "__module__", "__main__") != "__main__":
            continue
        members = [(name, target)]
        if isinstance(target, type):
            members += [(f"{name}.{key}", getattr(target, key, None)) for key in dir(target) if not key.startswith("_")]
        for label, member in members:
            docstring = getattr(member, "__doc__", None)
            if isinstance(docstring, str) and ">>>" in docstring:
                yield label, docstring


def _run_what_is_left(tree: ast.Module, namespace: dict[str, Any]) -> None:
    """Run the `test_…` functions and test cases that the tests define and never mention again, as pytest would.

    Raises:
        AssertionError: a test case failed.
        BaseException: what a function raises.
    """
    mentioned = names_mentioned(tree)
    if {"main", "TextTestRunner", "testmod", "globals", "TestLoader"} & mentioned:
        return  # they run what they define in their own way
    for node in tree.body:
        name = getattr(node, "name", "")
        found = namespace.get(name) if isinstance(node, ast.FunctionDef | ast.ClassDef) else None
        if name in mentioned or found is None:
            continue
        if isinstance(found, types.FunctionType) and name.startswith("test") and not _needs_arguments(found):
            found()
        elif isinstance(found, type) and issubclass(found, unittest.TestCase):
            _run_case(found)
        elif isinstance(found, type) and name.startswith("Test") and type(found) is type:
            _run_class(found)


def _needs_arguments(function: types.FunctionType) -> bool:
    return function.__code__.co_argcount > len(function.__defaults__ or ())


def _run_case(case: type[unittest.TestCase]) -> None:
    result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    if not result.wasSuccessful():
        raise AssertionError(f"{case.__name__}: {len(result.failures)} failures, {len(result.errors)} errors")


def _run_class(kind: type) -> None:
    """Run the methods of a class of tests without a base, each on an instance of its own."""
    for name in [name for name in vars(kind) if name.startswith("test") and callable(getattr(kind, name))]:
        instance = kind()
        getattr(instance, "setup_method", lambda *_: None)()
        getattr(instance, name)()
