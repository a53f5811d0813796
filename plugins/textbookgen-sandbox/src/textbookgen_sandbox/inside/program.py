"""Runs the text of a program as `__main__` and says, to the watcher alone, how it went."""

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

from .wire import Gone

BUILTIN = frozenset(name for name, it in vars(builtins).items() if isinstance(it, type) and issubclass(it, BaseException))
_THREAD_STACK = 2 << 20  # so that a few dozen threads fit into the memory a program may take


def module(name: str) -> types.ModuleType:
    """An empty module that code can run in; it is known by its name, as pickle and dataclasses need."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    return made


def run(source: str, name: str, namespace: dict[str, Any]) -> None:
    """Compiles and runs source; tracebacks show its lines under `name`."""
    exec(compiled(source, name), namespace)


def compiled(source: str, name: str) -> types.CodeType:
    """Source as code; raises SyntaxError."""
    _show_lines(source, name)
    return compile(source, name, "exec", dont_inherit=True)


def parsed(source: str, name: str) -> ast.Module:
    """Source as a tree; raises SyntaxError."""
    _show_lines(source, name)
    return ast.parse(source, name)


def _show_lines(source: str, name: str) -> None:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def reason(error: BaseException) -> str:
    """The first built-in class of an error: a short list however many classes programs define."""
    names = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    return next(name for name in names if name in BUILTIN)


def wind_up() -> None:
    """What the interpreter does at the end: waits for the program's threads, calls what it registered, writes what is left."""
    getattr(threading, "_shutdown")()  # noqa: B009 - the interpreter's own name for it, which type stubs leave out
    getattr(atexit, "_run_exitfuncs")()  # noqa: B009
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def attempt(work: Callable[[], None], finish: bool = True) -> dict[str, Any]:
    """Does the work; the report says that it ended, or what it raised. The traceback goes to stderr."""
    try:
        work()
        if finish:
            wind_up()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
        return {"ended": False, "raised": "SystemExit", "code": int(code), "of_program": "of_program" in vars(error)}
    except Gone:
        raise
    except BaseException as error:
        report = {"ended": False, "raised": reason(error)}
        _show(error)
        return report
    return {"ended": True}


def _show(error: BaseException) -> None:
    """Prints the traceback from the first frame that is the program's."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code.co_filename.endswith(
        ("inside/program.py", "inside/examiner.py", "inside/standins.py", "inside/page.py")
    ):
        step = step.tb_next
    try:
        traceback.print_exception(type(error), error, step, limit=-8, file=sys.stderr)
        sys.stderr.flush()
    except BaseException:
        os.write(2, f"{type(error).__name__}\n".encode())


def say(fd: int, report: dict[str, Any]) -> None:
    """Writes a report to the watcher."""
    said = json.dumps(report).encode() + b"\n"
    while said:
        said = said[os.write(fd, said) :]


def leave() -> NoReturn:
    """Ends the process here and now; everything that was to be said is said."""
    os._exit(0)


def settle() -> None:
    """Makes the process the program's own: fresh streams, and chance that falls the same way on every run."""
    random.seed(0)
    threading.stack_size(_THREAD_STACK)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["program.py"]
    sys.path[:] = [path for path in sys.path if path]
