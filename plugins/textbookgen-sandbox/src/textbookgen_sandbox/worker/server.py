"""Fork server of the worker: takes programs from the host one by one and runs each in newly forked processes.

Forking a warm interpreter costs a few milliseconds where starting one costs a hundred. Every program gets its own processes in
its own process namespace, which are killed when it ends, so nothing of a program reaches the next.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import execution, isolation, runner, snippets
from .channel import receive, send
from .supervisor import ChildProcess, Supervisor

#: Imported once and inherited by every fork, so that importing them costs a program nothing.
PRELOADED = """
    abc array ast bisect calendar cmath collections collections.abc contextlib copy csv dataclasses datetime decimal doctest
    enum fractions functools hashlib heapq inspect io itertools json keyword linecache math numbers operator pprint queue
    random re statistics string struct tempfile textwrap threading time tokenize traceback types typing unicodedata uuid
    weakref
"""
_MAX_STDERR = 8192  # bytes of stderr returned to the host
_MAX_STDOUT = 4 << 20  # bytes of stdout returned to the host
_REPORT_FD, _RPC_FD, _TESTS_FD = (
    3,
    4,
    5,
)  # descriptors of a child: its report and, with separate tests, the RPC socket and tests
_PARKING_FDS = 512  # above any descriptor the fork server has open


@dataclass
class ForkServer:
    """The warm process that programs are forked from.

    Attributes:
        host: the channel to the host.
        isolation: the isolation in force.
        memory: address space a child may use, in bytes.
        pidfd: a pidfd of this process.
        served: number of programs run so far.
    """

    host: socket.socket
    isolation: isolation.Isolation
    memory: int
    pidfd: int
    served: int = 0

    def serve(self) -> None:
        """Run each program the host sends until the host closes the channel."""
        while True:
            request, files = receive(self.host)
            if request is None:
                return
            send(self.host, self.run(request, files))

    def run(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Run one program, with its tests if `files` has them, and return how it ended."""
        start, start_cpu = time.monotonic(), time.process_time()
        isolation.reset_workdir(self.isolation, first=not self.served)
        self.served += 1
        key = "" if files else secrets.token_hex(16)
        out, errors = os.pipe(), os.pipe()
        processes = self._start(request, files, key, out[1], errors[1])
        for fd in (out[1], errors[1], *files):
            os.close(fd)
        streams = {out[0]: bytearray(), errors[0]: bytearray()}
        supervisor = Supervisor(processes, streams, request["seconds"], request["output"], self.host.fileno())
        supervisor.wait()
        supervisor.close()
        stderr = streams[errors[0]][-_MAX_STDERR:].decode(errors="replace")
        stdout = _cut(streams[out[0]], min(request["output"], _MAX_STDOUT))
        cpu = sum(process.cpu_seconds for process in processes)
        timing = {"seconds": time.monotonic() - start, "cpu": cpu, "worker": time.process_time() - start_cpu}
        return {**_outcome(supervisor, key), "stderr": stderr, "stdout": stdout, **timing}

    def _start(self, request: dict[str, Any], files: list[int], key: str, out: int, errors: int) -> list[ChildProcess]:
        """Fork the process of the program and, with separate tests, the process of the tests.

        The fork server never reads the tests: a program inherits this process's memory and could find them there, now or in a
        later fork.
        """
        seconds, text = request["seconds"], request["text"]

        def start(work: Callable[[], None], *keep: int) -> ChildProcess:
            read_end, write_end = os.pipe()
            pid = isolation.fork(self.isolation, self.pidfd)
            if pid == 0:
                self._become(work, out, errors, (write_end, *keep), seconds)
            os.close(write_end)
            return ChildProcess(pid, read_end)

        if request["page"]:
            return [start(lambda: snippets.run_page(text, _REPORT_FD, key))]
        if not files:
            return [start(lambda: runner.run_together(text, request["tests"], _REPORT_FD, key))]
        tests_end, program_end = socket.socketpair()
        with tests_end, program_end:
            return [
                start(lambda: runner.serve_program(text, _RPC_FD, _REPORT_FD), program_end.fileno()),
                start(lambda: runner.run_tests(_TESTS_FD, _RPC_FD, _REPORT_FD), tests_end.fileno(), *files),
            ]

    def _become(self, work: Callable[[], None], out: int, errors: int, keep: tuple[int, ...], seconds: float) -> None:
        """Turn this forked child into a confined process that does the work; never returns.

        All descriptors but stdin, stdout, stderr and `keep` are closed; those of `keep` become 3, 4, … in order.
        """
        try:
            if self.isolation.landlock_rules is not None:
                keep = (*keep, self.isolation.landlock_rules)
            parked = [os.dup2(fd, place, inheritable=False) for place, fd in enumerate(keep, start=_PARKING_FDS)]
            os.dup2(out, 1)
            os.dup2(errors, 2)
            os.closerange(3, _PARKING_FDS)
            for place, fd in enumerate(parked, start=_REPORT_FD):
                os.dup2(fd, place)
            os.closerange(_PARKING_FDS, 2 * _PARKING_FDS)
            if self.isolation.landlock_rules is not None:
                self.isolation.landlock_rules = _REPORT_FD + len(parked) - 1
            isolation.confine(self.isolation, self.memory, seconds)
            execution.reset_interpreter()
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        finally:
            os._exit(70)


def _cut(data: bytearray, limit: int) -> str:
    """Return output as text, with a note where it was cut."""
    note = f"\n[{len(data) - limit:,} bytes more]" if len(data) > limit else ""
    return data[:limit].decode(errors="replace") + note


def _outcome(supervisor: Supervisor, key: str) -> dict[str, Any]:
    """Return how a program ended: the limit it hit, its own failure, or the report of the process that decides.

    With separate tests that is the process of the tests; otherwise the program's own, whose report must carry the key.
    """
    program, decider = supervisor.processes[0], supervisor.processes[-1]
    if supervisor.exceeded:
        return {"ok": False, "reason": supervisor.exceeded}
    separate = decider is not program
    failure = _read_report(program, "") if separate else None
    if failure and not failure.get("ended"):
        return {"ok": False, "reason": _failure_reason(failure)}
    report = _read_report(decider, key)
    page = {"expectations": report.get("expectations"), "snippets": report.get("snippets")} if report else {}
    if report and report.get("ended") is True and not (separate and program.exited):
        return {"ok": True, "reason": "", **page}
    reasons = (_exit_reason(process) for process in supervisor.processes if process.exited)
    return {"ok": False, "reason": next(filter(None, reasons), "") or _failure_reason(report or {}), **page}


def _exit_reason(process: ChildProcess) -> str:
    """Return why a process ended that the supervisor did not end: a kernel limit, a signal it caused itself, or ''."""
    status = process.status or 0
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time limit"
    return "killed" if status < 0 else ""


def _failure_reason(report: dict[str, Any]) -> str:
    raised = report.get("raised")
    name = raised if isinstance(raised, str) and raised in execution.BUILTIN_ERRORS else "exited early"
    return "memory limit" if name == "MemoryError" else name


def _read_report(process: ChildProcess, key: str) -> dict[str, Any] | None:
    """Return the report of a process if it is well formed and, where a key is required, carries it."""
    try:
        report = json.loads(process.report.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(report, dict) or (key and report.get("key") != key):
        return None
    return report


def main(channel: int, memory_mib: int, walls: str) -> None:
    """Preload modules, isolate this process, report to the host what could not be isolated, and serve.

    Args:
        channel: descriptor of the socket to the host.
        memory_mib: MiB of memory a program may use beyond the interpreter itself.
        walls: who sets up namespaces and files: "builtin" this process, "bubblewrap" has already, "none" no one.
    """
    host = socket.socket(fileno=channel)
    for name in PRELOADED.split():
        importlib.import_module(name)
    runner.warm_up()
    memory = isolation.address_space() + (memory_mib << 20)

    def request_user_mapping() -> bool:
        send(host, {"unshared": os.getpid()})
        return bool((receive(host)[0] or {}).get("separate_user"))

    ways: dict[str, Callable[[], isolation.Isolation]] = {
        "builtin": lambda: isolation.isolate(request_user_mapping),
        "bubblewrap": isolation.isolate_in_bubblewrap,
        "none": isolation.isolate_without_namespaces,
    }
    state = ways[walls]()
    sys.path[:] = [path for path in sys.path if Path(path).is_dir()]
    _hide_own_modules()
    gc.collect()
    gc.freeze()
    send(host, {"missing": state.missing})
    if not state.missing:
        ForkServer(host, state, memory, os.pidfd_open(os.getpid())).serve()


def _hide_own_modules() -> None:
    """Remove this package from `sys.modules`, so that a program's `import worker` fails as it does anywhere else."""
    package = __name__.partition(".")[0]
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
