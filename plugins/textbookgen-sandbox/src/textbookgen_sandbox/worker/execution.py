"""Running source as `__main__`, and the report of how it ended that goes to the supervisor."""

from __future__ import annotations

import ast
import atexit
import builtins
import json
import linecache
import os
import random
import sys
import threading
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

from .rpc import ConnectionLost

BUILTIN_ERRORS = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)
_THREAD_STACK = 2 << 20  # bytes; small enough for dozens of threads within the memory a program may use
_WORKER_FOLDER = os.path.dirname(__file__)  # noqa: PTH120 - only compared with the file names of frames


def create_module(name: str) -> types.ModuleType:
    """Create an empty module to run code in and register it by name, as pickle and dataclasses need."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module


def run(source: str, filename: str, namespace: dict[str, Any]) -> None:
    """Compile and run source; tracebacks show its lines under the file name."""
    exec(compile_source(source, filename), namespace)


def compile_source(source: str, filename: str) -> types.CodeType:
    """Return the source as code.

    Raises:
        SyntaxError: the source is not valid Python.
    """
    _cache_lines(source, filename)
    return compile(source, filename, "exec", dont_inherit=True)


def parse_source(source: str, filename: str) -> ast.Module:
    """Return the source as a syntax tree.

    Raises:
        SyntaxError: the source is not valid Python.
    """
    _cache_lines(source, filename)
    return ast.parse(source, filename)


def _cache_lines(source: str, filename: str) -> None:
    """Let tracebacks show the lines of source that is in no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def builtin_error_name(error: BaseException) -> str:
    """Return the name of the first built-in class of an error: a short list, whatever classes programs define."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    return next(name for name in names if name in BUILTIN_ERRORS)


def finish() -> None:
    """Do what the interpreter does at exit: join the program's threads, call its exit functions, flush its streams."""
    getattr(threading, "_shutdown")()  # noqa: B009 - the interpreter's own name for it, which type stubs leave out
    getattr(atexit, "_run_exitfuncs")()  # noqa: B009
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def attempt(work: Callable[[], None], then_finish: bool = True) -> dict[str, Any]:
    """Do the work and return a report: that it ended, or what it raised. The traceback goes to stderr.

    Raises:
        ConnectionLost: the process under test is gone.
    """
    try:
        work()
        if then_finish:
            finish()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
        return {"ended": False, "raised": "SystemExit", "code": int(code), "of_program": "of_program" in vars(error)}
    except ConnectionLost:
        raise
    except BaseException as error:
        report = {"ended": False, "raised": builtin_error_name(error)}
        _print_traceback(error)
        return report
    return {"ended": True}


def _print_traceback(error: BaseException) -> None:
    """Print the traceback from the first frame that is not the worker's own."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename.startswith(_WORKER_FOLDER):
        step = step.tb_next
    try:
        traceback.print_exception(type(error), error, step, limit=-8, file=sys.stderr)
        sys.stderr.flush()
    except BaseException:
        os.write(2, f"{type(error).__name__}\n".encode())


def send_report(fd: int, report: dict[str, Any]) -> None:
    """Write a report to the supervisor's pipe."""
    data = json.dumps(report).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


def exit_now() -> NoReturn:
    """End the process without any clean-up; the report has been sent."""
    os._exit(0)


def reset_interpreter() -> None:
    """Make a forked interpreter look newly started: own streams, and random numbers that repeat on every run."""
    random.seed(0)
    threading.stack_size(_THREAD_STACK)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program.py"]
    sys.path[:] = [path for path in sys.path if path]
