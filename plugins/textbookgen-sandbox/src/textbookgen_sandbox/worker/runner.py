"""Entry points of the forked processes: a program with its tests in one process, or each in its own.

Threat: a program that passes its tests by deceit, such as leaving early or patching `assert`. Code that shares a process with
its tests can always forge their result. So the tests run in a second process: it alone holds the pipe of the verdict, and it
reaches the program's objects through proxies over a socket. In both modes the tests have separate globals.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

from . import checks, execution
from .object_server import ObjectServer
from .proxy_client import ProxyClient
from .rpc import ConnectionLost

_PROGRAM_FILE = "program.py"
_WARM_PROGRAM = "def echo(value):\n    return value\n"
_WARM_TESTS = "for value in range(60):\n    assert echo(value) == value and echo([value]) == [value] and echo('a') == 'a'\n"
_EXITS = frozenset({"exit", "quit", "SystemExit", "main"})  # names in tests that end a process on purpose


def run_together(source: str, tests: str, report_fd: int, key: str) -> None:
    """Run a program, and its tests after it, in this process.

    Args:
        source: the program.
        tests: its tests; may be empty.
        report_fd: where the report is written.
        key: secret that marks the report as the worker's own; enough against code that does not study this package.
    """
    namespace: dict[str, Any] = vars(execution.create_module("__main__"))
    report = _accept_exit(execution.attempt(lambda: execution.run(source, _PROGRAM_FILE, namespace), then_finish=not tests))
    if tests and report["ended"]:
        read: list[checks.Tests] = []
        report = execution.attempt(lambda: _run_beside(tests, namespace, read.append))
        if not (read and _EXITS & read[0].names):
            report.pop("code", None)  # tests that never exit have not ended if something did
        report = _accept_exit(report)
    execution.send_report(report_fd, {**report, "key": key})
    execution.exit_now()


def _run_beside(source: str, program: dict[str, Any], keep: Callable[[checks.Tests], None]) -> None:
    tests = checks.read_tests(source)
    keep(tests)
    names = [name for name in program if not name.startswith("__")]
    used = [name for name in names if name in tests.names]
    with _MarkedExits(program):
        checks.run(tests, checks.ProgramGlobals(program.__getitem__, used, lambda: names, shared=True))


class _MarkedExits:
    """Marks a SystemExit that passed through code of the program."""

    def __init__(self, program: dict[str, Any]) -> None:
        self.program = program

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, step: types.TracebackType | None) -> None:
        while isinstance(error, SystemExit) and step is not None:
            if step.tb_frame.f_globals is self.program or step.tb_frame.f_code.co_filename == _PROGRAM_FILE:
                error.__dict__["of_program"] = True
            step = step.tb_next


def serve_program(source: str, rpc_fd: int, report_fd: int) -> None:
    """Run a program, then serve its objects to the process of its tests."""
    namespace: dict[str, Any] = vars(execution.create_module("__main__"))
    report = execution.attempt(lambda: execution.run(source, _PROGRAM_FILE, namespace), then_finish=False)
    report = _accept_exit(report)
    execution.send_report(report_fd, report)
    if report["ended"]:
        ObjectServer(namespace, rpc_fd, with_signatures="inspect" in source).connection.serve()
    _wait_for_supervisor()


def run_tests(tests_fd: int, rpc_fd: int, report_fd: int) -> None:
    """Run tests, read from a file that only this process has, on a program that lives in another process."""
    with open(tests_fd, encoding="utf-8", errors="surrogatepass") as file:
        source = file.read()
    clients: list[ProxyClient] = []
    try:
        report = execution.attempt(lambda: _run_on_proxies(source, rpc_fd, clients.append))
    except ConnectionLost:
        report = {}
    lost = any(client.connection.lost for client in clients)
    execution.send_report(report_fd, {"ended": False} if lost else _accept_exit(report))
    _wait_for_supervisor()


def _run_on_proxies(source: str, rpc_fd: int, keep: Callable[[ProxyClient], None]) -> None:
    tests = checks.read_tests(source)
    client = ProxyClient(rpc_fd, "__main__", tests.names)
    keep(client)
    used = client.import_names()
    checks.run(tests, checks.ProgramGlobals(client.look_up, used, client.defined_names, shared=False))


def warm_up() -> None:
    """Test a function through proxies once, so that the interpreter has adapted this package's code before it is forked.

    Otherwise each child adapts it again, and copies the pages that are written to. Messages bypass the socket, which
    would need a thread.
    """
    main, ends = sys.modules["__main__"], socket.socketpair()
    served: dict[str, Any] = vars(execution.create_module("__main__"))
    execution.run(_WARM_PROGRAM, _PROGRAM_FILE, served)
    server = ObjectServer(served, ends[0].detach())
    tests = checks.read_tests(_WARM_TESTS)
    client = ProxyClient(ends[1].detach(), "__main__", tests.names)
    client.connection.request = lambda message: server.answer(json.loads(json.dumps(message)))  # type: ignore[method-assign]
    checks.run(tests, checks.ProgramGlobals(client.look_up, client.import_names(), client.defined_names, shared=False))
    client.connection.close()
    server.connection.close()
    sys.modules["__main__"] = main


def _accept_exit(report: dict[str, Any]) -> dict[str, Any]:
    """Treat `sys.exit(0)` at the end, as `unittest.main()` does, as a normal end; what tests there are then decides."""
    succeeded = report.get("raised") == "SystemExit" and report.get("code") == 0 and not report["of_program"]
    return {"ended": True} if succeeded else report


def _wait_for_supervisor() -> None:
    """Wait to be killed by the supervisor: a process found to have ended by itself left in the middle of the tests."""
    sys.stdout.flush()
    while True:
        signal.pause()
