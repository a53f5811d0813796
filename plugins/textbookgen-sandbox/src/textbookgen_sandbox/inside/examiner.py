"""Runs a program alone, or its tests in a process of their own that the program cannot reach."""

from __future__ import annotations

import os
from typing import Any

from . import program


def run_alone(source: str, mouth: int, key: str, tested: bool) -> None:
    """Runs a program, and its tests as its last lines, in one process."""
    namespace: dict[str, Any] = vars(program.module("__main__"))
    report = program.attempt(lambda: program.run(source, "program.py", namespace))
    if report.get("raised") == "SystemExit" and not report["code"] and not tested:
        report = {"ended": True}
    program.say(mouth, {**report, "key": key})
    os._exit(0)


def host_program(source: str, wire: int, mouth: int) -> None:
    """Runs a program, then answers what its tests ask of it."""


def examine(tests: str, wire: int, mouth: int, key: str) -> None:
    """Runs tests on a program that lives in another process."""
