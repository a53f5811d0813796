"""Runs a program alone, or its tests in a process of their own that the program cannot reach."""

from __future__ import annotations

import signal
import types
from typing import Any

from . import program
from .lender import Lender
from .standins import Borrower
from .wire import Gone


def run_alone(source: str, tests: str, mouth: int, key: str) -> None:
    """Runs a program, and its tests after it, in one process."""
    namespace: dict[str, Any] = vars(program.module("__main__"))
    report = program.attempt(lambda: program.run(source, "program.py", namespace), finish=not tests)
    if tests and report["ended"]:
        report = program.attempt(lambda: program.run(tests, "tests.py", namespace))
    elif tests:
        report["code"] = 1  # whoever leaves before the tests has not passed them
    program.say(mouth, {**_left_well(report), "key": key})
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
    namespace: dict[str, Any] = vars(program.module("__main__"))
    borrower = Borrower(wire, "__main__")
    try:
        report = program.attempt(lambda: _examine(source, borrower, namespace))
    except Gone:
        report = {}
    program.say(mouth, {"ended": False} if borrower.wire.lost else _left_well(report))
    _wait()


def _left_well(report: dict[str, Any]) -> dict[str, Any]:
    """A program may leave by `sys.exit(0)` at its end, as unittest.main() does for tests: that is an end like any other."""
    well = report.get("raised") == "SystemExit" and report.get("code") == 0 and not report["of_program"]
    return {"ended": True} if well else report


def _wait() -> None:
    """Waits for the watcher, who ends both processes: one that is found to have left by itself did so in the midst of tests."""
    while True:
        signal.pause()


def _examine(source: str, borrower: Borrower, namespace: dict[str, Any]) -> None:
    code = program.compiled(source, "tests.py")
    borrower.take(namespace, _names(code))
    exec(code, namespace)


def _names(code: types.CodeType) -> set[str]:
    """Every name that code looks up, in itself and in the functions it defines."""
    inner = (item for item in code.co_consts if isinstance(item, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
