"""Runs a program alone, or its tests in a process of their own that the program cannot reach."""

from __future__ import annotations

import signal
import types
from typing import Any

from . import program
from .lender import Lender
from .standins import Borrower
from .wire import Gone

TESTS = "tests"


def run_alone(source: str, mouth: int, key: str, tested: bool) -> None:
    """Runs a program, and its tests as its last lines, in one process."""
    namespace: dict[str, Any] = vars(program.module("__main__"))
    report = program.attempt(lambda: program.run(source, "program.py", namespace))
    if report.get("raised") == "SystemExit" and not report["code"] and not tested:
        report = {"ended": True}
    program.say(mouth, {**report, "key": key})
    program.leave()


def host_program(source: str, wire: int, mouth: int) -> None:
    """Runs a program, then answers what its tests ask of it."""
    namespace: dict[str, Any] = vars(program.module("__main__"))
    report = program.attempt(lambda: program.run(source, "program.py", namespace), finish=False)
    program.say(mouth, report)
    if report["ended"]:
        Lender(namespace, wire).wire.serve()
    _wait()


def examine(tests: int, wire: int, mouth: int) -> None:
    """Runs tests, read from a file that only this process has, on a program that lives in another process."""
    with open(tests, encoding="utf-8") as file:
        source = file.read()
    namespace: dict[str, Any] = vars(program.module(TESTS))
    namespace["__name__"] = "__main__"
    try:
        report = program.attempt(lambda: _examine(source, wire, namespace))
    except Gone:
        report = {"ended": False, "gone": True}
    if report.get("raised") == "SystemExit" and not report["code"] and not report["of_program"]:
        report = {"ended": True}  # unittest.main() leaves like that
    program.say(mouth, report)
    _wait()


def _wait() -> None:
    """Waits for the watcher, who ends both processes: one that is found to have left by itself did so in the midst of tests."""
    while True:
        signal.pause()


def _examine(source: str, wire: int, namespace: dict[str, Any]) -> None:
    wanted = _names(program.compiled(source, "tests.py"))
    Borrower(wire, "__main__").take(namespace, wanted)
    program.run(source, "tests.py", namespace)


def _names(code: types.CodeType) -> set[str]:
    """Every name that code looks up, in itself and in the functions it defines."""
    inner = (each for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
