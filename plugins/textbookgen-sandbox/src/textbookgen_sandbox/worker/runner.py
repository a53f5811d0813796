"""Entry points of the forked processes: a program with its tests in one process, or each in its own.

Threat: a program that passes its tests by deceit, such as leaving early or patching `assert`. Code that shares a process with
its tests can always forge their result. So the tests run in a second process: it alone holds the pipe of the verdict, and it
reaches the program's objects through proxies over a socket.
"""

from __future__ import annotations

import signal
import types
from typing import Any

from . import execution
from .object_server import ObjectServer
from .proxies import ProxyClient
from .rpc import ConnectionLost


def run_together(source: str, tests: str, report_fd: int, key: str) -> None:
    """Run a program, and its tests after it, in this process.

    Args:
        source: the program.
        tests: its tests; may be empty.
        report_fd: where the report is written.
        key: secret that marks the report as the worker's own; enough against code that does not study this package.
    """
    namespace: dict[str, Any] = vars(execution.create_module("__main__"))
    report = execution.attempt(lambda: execution.run(source, "program.py", namespace), then_finish=not tests)
    if tests and report["ended"]:
        report = execution.attempt(lambda: execution.run(tests, "tests.py", namespace))
    elif tests:
        report["code"] = 1  # a program that exits before its tests has not passed them
    execution.send_report(report_fd, {**_accept_exit(report), "key": key})
    execution.exit_now()


def serve_program(source: str, rpc_fd: int, report_fd: int) -> None:
    """Run a program, then serve its objects to the process of its tests."""
    namespace: dict[str, Any] = vars(execution.create_module("__main__"))
    report = execution.attempt(lambda: execution.run(source, "program.py", namespace), then_finish=False)
    execution.send_report(report_fd, report)
    if report["ended"]:
        ObjectServer(namespace, rpc_fd).connection.serve()
    _wait_for_supervisor()


def run_tests(tests_fd: int, rpc_fd: int, report_fd: int) -> None:
    """Run tests, read from a file that only this process has, on a program that lives in another process."""
    with open(tests_fd, encoding="utf-8") as file:
        source = file.read()
    namespace: dict[str, Any] = vars(execution.create_module("__main__"))
    client = ProxyClient(rpc_fd, "__main__")
    try:
        report = execution.attempt(lambda: _run_on_proxies(source, client, namespace))
    except ConnectionLost:
        report = {}
    execution.send_report(report_fd, {"ended": False} if client.connection.lost else _accept_exit(report))
    _wait_for_supervisor()


def _accept_exit(report: dict[str, Any]) -> dict[str, Any]:
    """Treat `sys.exit(0)` at the end, as `unittest.main()` does, as a normal end."""
    succeeded = report.get("raised") == "SystemExit" and report.get("code") == 0 and not report["of_program"]
    return {"ended": True} if succeeded else report


def _wait_for_supervisor() -> None:
    """Wait to be killed by the supervisor: a process found to have ended by itself left in the middle of the tests."""
    while True:
        signal.pause()


def _run_on_proxies(source: str, client: ProxyClient, namespace: dict[str, Any]) -> None:
    code = execution.compile_source(source, "tests.py")
    client.import_names(namespace, _names(code))
    exec(code, namespace)


def _names(code: types.CodeType) -> set[str]:
    """Return every name that code looks up, in itself and in the functions it defines."""
    inner = (item for item in code.co_consts if isinstance(item, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
