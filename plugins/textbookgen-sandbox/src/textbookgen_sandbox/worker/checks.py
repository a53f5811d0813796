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
_RUNNERS = frozenset({"main", "TextTestRunner", "testmod", "globals", "TestLoader"})


@dataclass(frozen=True)
class Tests:
    """Tests, compiled.

    Attributes:
        source: the text; an interpreter session as a call that runs it.
        code: the code.
        names: names and attributes that it uses, in sessions and in functions that it defines, too.
    """

    source: str
    code: types.CodeType
    names: frozenset[str]


def read_tests(source: str) -> Tests:
    """Compile tests.

    Raises:
        SyntaxError: the tests are neither Python nor a session.
    """
    if source.lstrip().startswith(">>>"):
        source = f"__sandbox_session__({source!r})"
    code = execution.compile_source(source, TESTS_FILE)
    return Tests(source, code, frozenset(_names(code)))


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            names |= _names(constant)
        elif type(constant) is str and ">>>" in constant:
            names.update(_session_names(constant))
    return names


def _session_names(text: str) -> Iterable[str]:
    for example in doctest.DocTestParser().get_examples(text):
        try:
            yield from (node.id for node in ast.walk(ast.parse(example.source)) if isinstance(node, ast.Name))
        except SyntaxError:
            continue


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


def run(tests: Tests, program: ProgramGlobals) -> None:
    """Run tests in their own namespace, and then what they define and do not run themselves.

    Raises:
        AssertionError: a test failed.
        BaseException: what else the tests raise.
    """
    namespace = create_tests_module(tests.source, program.look_up, program.used, shared=program.shared)
    if "testmod" in tests.names:
        doctest.testmod = _replaced_testmod(namespace, program, doctest.testmod)
    namespace["__builtins__"]["__sandbox_session__"] = lambda text: _run_session(text, "tests", namespace)
    exec(tests.code, namespace)
    _run_what_is_left(tests, namespace)


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
            results = _run_examples(docstring, name, namespace, None, int(options.get("optionflags", 0)))
            failed, attempted = failed + results.failed, attempted + results.attempted
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


def _run_what_is_left(tests: Tests, namespace: dict[str, Any]) -> None:
    """Run the `test_…` functions and test cases that the tests define and never mention again, as pytest would.

    Raises:
        AssertionError: a test case failed.
        BaseException: what a function raises.
    """
    if _RUNNERS & tests.names:
        return  # they run what they define in their own way
    for name, value in list(namespace.items()):
        if name in tests.names and _is_loaded(tests.source, name):
            continue
        if isinstance(value, types.FunctionType):
            if name.startswith("test") and value.__code__.co_filename == TESTS_FILE and not _needs_arguments(value):
                value()
        elif isinstance(value, type) and value.__module__ == "__main__":
            if issubclass(value, unittest.TestCase):
                _run_case(value)
            elif name.startswith("Test") and type(value) is type:
                _run_class(value)


def _is_loaded(source: str, name: str) -> bool:
    """Return whether source uses a name, other than to assign it."""
    nodes = ast.walk(ast.parse(source))
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load) for node in nodes)


def _needs_arguments(function: types.FunctionType) -> bool:
    return function.__code__.co_argcount > len(function.__defaults__ or ())


def _run_case(case: type[unittest.TestCase]) -> None:
    result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    if not result.wasSuccessful():
        raise AssertionError(f"{case.__name__}: {len(result.failures)} failures, {len(result.errors)} errors")


def _run_class(kind: type) -> None:
    """Run the methods of a class of tests without a base, each on a new instance."""
    for name in [name for name in vars(kind) if name.startswith("test") and callable(getattr(kind, name))]:
        instance = kind()
        getattr(instance, "setup_method", lambda *_: None)()
        getattr(instance, name)()
