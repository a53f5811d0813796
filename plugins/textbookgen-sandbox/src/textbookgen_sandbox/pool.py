"""Pool of workers: isolated interpreters that run one program at a time each and return how it ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from textbookgen import PluginError, RunError
from textbookgen_sandbox import bubblewrap
from textbookgen_sandbox.worker import channel, filesystem, isolation
from textbookgen_sandbox.worker.expectations import Expectation, Kind
from textbookgen_sandbox.worker.supervisor import WALL_CLOCK_FACTOR

#: The worker is imported by path and the path removed at once, so that no module beside it hides one of the standard library.
_START = (
    "import sys; sys.path.insert(0, {folder!r}); from worker.server import main; del sys.path[0]; "
    "main({channel}, {memory}, {walls!r})"
)
IsolationName = Literal["auto", "builtin", "bubblewrap"]
Walls = Literal["builtin", "bubblewrap", "none"]
_OVERFLOW_ID = 65534  # user and group id without any rights (the kernel's overflow id)
_GRACE_SECONDS = 60.0  # for an interpreter to start on a busy machine
_MAX_PROGRAM = 4 << 20  # characters of a program with its tests
_ATTEMPTS = 2  # for a program whose worker ends, which may not be the program's doing


@dataclass(frozen=True)
class Program:
    """A program to run, its tests, and its limits.

    Attributes:
        text: Python source, or a Markdown page if `is_page`.
        tests: Python source of its tests; may be empty.
        seconds: CPU seconds it may use; the wall-clock limit is `WALL_CLOCK_FACTOR` times as long.
        output_kib: KiB it may print.
        isolate_tests: whether tests run in a separate process.
        is_page: whether the snippets of a page are run.
    """

    text: str
    tests: str = ""
    seconds: float = 3.0
    output_kib: int = 64
    isolate_tests: bool = True
    is_page: bool = False


_TRIVIAL = Program("pass", seconds=10.0)


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        ok: whether it ran to its end and its tests passed.
        reason: why not; empty if `ok`.
        stdout: what it printed, cut at its limit.
        stderr: the end of what it wrote to stderr.
        seconds: wall-clock seconds it took.
        cpu_seconds: CPU seconds of its processes.
        worker_seconds: CPU seconds of the worker that forked and watched them.
        snippets: number of snippets of a page.
        expectations: what a page states about outputs and values, and what they were.
    """

    ok: bool
    reason: str
    stdout: str
    stderr: str
    seconds: float
    cpu_seconds: float
    snippets: int = 0
    expectations: tuple[Expectation, ...] = ()
    worker_seconds: float = 0.0


class Worker:
    """Host side of one worker process.

    Args:
        memory_mib: MiB of memory a program may use beyond the interpreter itself.
        walls: who sets up namespaces and files; with "none", Landlock, seccomp and limits are all there is.
    """

    def __init__(self, memory_mib: int, walls: Walls = "builtin") -> None:
        self.channel, worker_end = socket.socketpair()
        with worker_end:
            self.process = self._start(worker_end.fileno(), memory_mib, walls)
        self.missing: tuple[str, ...] = self._set_up()

    def _start(self, fd: int, memory_mib: int, walls: Walls) -> subprocess.Popen[bytes]:
        package = Path(__file__).parent
        folder = filesystem.PACKAGE if walls == "bubblewrap" else str(package)
        code = _START.format(folder=folder, channel=fd, memory=memory_mib, walls=walls)
        command = [isolation.interpreter(), "-S", "-s", "-P", "-B", "-X", "utf8", "-c", code]
        return subprocess.Popen(
            bubblewrap.command(command, str(package)) if walls == "bubblewrap" else command,
            env=filesystem.ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            pass_fds=(fd,),
            cwd="/",
            start_new_session=True,
        )

    def _set_up(self) -> tuple[str, ...]:
        """Write the user id maps when the worker asks for them; return the parts of the isolation it could not set up."""
        message = self._receive()
        if "unshared" in message:
            self._send({"separate_user": _map_users(message["unshared"])})
            message = self._receive()
        return tuple(message["missing"])

    def _send(self, message: dict[str, Any], files: Sequence[int] = ()) -> None:
        try:
            self.channel.settimeout(_GRACE_SECONDS)
            channel.send(self.channel, message, files)
        except OSError as error:
            raise _worker_ended() from error

    def _receive(self, seconds: float = _GRACE_SECONDS) -> dict[str, Any]:
        try:
            message, _ = channel.receive(self.channel, seconds)
        except (OSError, ValueError) as error:
            raise _worker_ended() from error
        if not isinstance(message, dict):
            raise _worker_ended()
        return message

    def run(self, program: Program) -> Outcome:
        """Run one program. Isolated tests are sent as a file, which the fork server passes on without reading.

        Raises:
            RunError: the worker ended.
        """
        separate = bool(program.tests) and program.isolate_tests
        request = {"text": program.text, "tests": "" if separate else program.tests, "page": program.is_page}
        request |= {"seconds": program.seconds, "output": program.output_kib << 10}
        with os.fdopen(os.memfd_create("tests"), "w+b") as tests:
            if separate:
                tests.write(program.tests.encode(errors="surrogatepass"))
                tests.seek(0)
            self._send(request, [tests.fileno()] if separate else [])
        return _parse_outcome(self._receive(WALL_CLOCK_FACTOR * program.seconds + _GRACE_SECONDS))

    def end(self) -> None:
        """Kill the worker, which does not answer."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """End the worker, which exits when its channel is closed."""
        self.channel.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _worker_ended() -> RunError:
    return RunError("a sandbox worker ended unexpectedly", hint="its error message is on stderr, above")


def _parse_outcome(message: dict[str, Any]) -> Outcome:
    """Return the outcome in a worker's message; malformed expectations, which the program can forge, are left out."""
    streams = message["stdout"], message["stderr"]
    timing = message["seconds"], message["cpu"]
    outcome = Outcome(message["ok"], message["reason"], *streams, *timing, worker_seconds=message["worker"])
    snippets, expectations = message.get("snippets"), message.get("expectations")
    if not isinstance(snippets, int) or not isinstance(expectations, list):
        return outcome
    return replace(outcome, snippets=snippets, expectations=tuple(filter(None, map(_parse_expectation, expectations))))


def _parse_expectation(message: object) -> Expectation | None:
    match message:
        case [int(line), str(expected), [_, *_] as printed, str(kind)] if kind in get_args(Kind):
            return Expectation(line, expected, [str(item) for item in printed], cast(Kind, kind))
    return None


def _map_users(pid: int) -> bool:
    """Write the user and group id maps of a worker's user namespace.

    Returns:
        Whether programs have a separate user, an unprivileged one outside; that takes a host that runs as root.
    """
    folder, user, group = Path("/proc", str(pid)), os.geteuid(), os.getegid()
    if user == 0:
        with contextlib.suppress(OSError):
            (folder / "uid_map").write_text(f"0 0 1\n{isolation.PROGRAM_USER} {_OVERFLOW_ID} 1\n")
            (folder / "gid_map").write_text(f"0 0 1\n{isolation.PROGRAM_USER} {_OVERFLOW_ID} 1\n")
            return True
    (folder / "setgroups").write_text("deny")
    (folder / "uid_map").write_text(f"0 {user} 1\n")
    (folder / "gid_map").write_text(f"0 {group} 1\n")
    return False


def choose_walls(name: IsolationName) -> Walls:
    """Return who sets up namespaces and files.

    With "auto" that is bubblewrap where it is installed, except for a host that runs as root: there this package can run
    programs as another user, and bubblewrap cannot.

    Raises:
        PluginError: bubblewrap is asked for and not installed.
    """
    if name == "bubblewrap" and not bubblewrap.find():
        raise PluginError(
            "bubblewrap is not installed", hint='install it (`apt install bubblewrap`), or set isolation = "builtin"'
        )
    if name == "auto":
        return "bubblewrap" if bubblewrap.find() and os.geteuid() != 0 else "builtin"
    return name


class Pool:
    """A fixed number of workers, each started when first needed; `run` may be called from any thread.

    Every method that needs a worker raises PluginError if the machine offers less isolation than needed and `unsafe` is false.
    """

    def __init__(self, workers: int, memory_mib: int, unsafe: bool = False, isolation: IsolationName = "auto") -> None:
        self.memory_mib = memory_mib
        self.walls = choose_walls(isolation)
        self.unsafe = unsafe
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        self._all: list[Worker] = []
        for _ in range(workers):
            self._idle.put(None)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        worker = self._idle.get()
        try:
            if worker is None or worker.process.poll() is not None:
                worker = self._start_worker()
            yield worker
        except BaseException:
            if worker is not None:
                worker.end()
            worker = None  # started again when next needed
            raise
        finally:
            self._idle.put(worker)

    def _start_worker(self) -> Worker:
        worker = Worker(self.memory_mib, self.walls)
        if worker.missing:
            worker.close()
            if not self.unsafe:
                raise PluginError(
                    f"this machine cannot isolate programs; missing: {'; '.join(worker.missing)}",
                    hint="allow unprivileged user namespaces (in a container: --security-opt seccomp=unconfined), or set "
                    "`unsafe = true` if you trust the programs or the machine is expendable",
                )
            worker = Worker(self.memory_mib, "none")
        with self._lock:
            self._all.append(worker)
        return worker

    def check(self) -> None:
        """Run a trivial program, to find out what isolation the machine offers and whether workers serve.

        Raises:
            PluginError: the machine offers less isolation than needed, and `unsafe` is false.
            RunError: programs do not run here.
        """
        with self._worker() as worker:
            outcome = worker.run(_TRIVIAL)
        if not outcome.ok:
            raise RunError(f"the sandbox cannot run programs here: {outcome.reason}", hint=outcome.stderr[-500:])

    def run(self, program: Program) -> Outcome:
        """Run one program as soon as a worker is free.

        Whatever the program does is a verdict: one whose worker ends is tried again with another, and is then `killed`.

        Raises:
            RunError: the worker of a trivial program ends, too.
        """
        if len(program.text) + len(program.tests) > _MAX_PROGRAM:
            return Outcome(False, "memory limit", "", f"the program has more than {_MAX_PROGRAM:,} characters", 0.0, 0.0)
        problem = ""
        for _ in range(_ATTEMPTS):
            with self._worker() as worker:
                try:
                    return worker.run(program)
                except RunError as error:
                    problem = error.problem
                    worker.end()
        self.check()
        return Outcome(False, "killed", "", problem, 0.0, 0.0)

    def map(self, programs: Iterable[Program]) -> Iterator[Outcome]:
        """Run programs in parallel; outcomes come in the order of the programs."""
        return self._threads.map(self.run, programs)

    def close(self) -> None:
        """End all workers."""
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()


_pools: dict[tuple[int, int, bool, IsolationName], Pool] = {}
_pools_lock = threading.Lock()


def open_pool(workers: int | None, memory_mib: int, unsafe: bool = False, isolation: IsolationName = "auto") -> Pool:
    """Return this process's pool with these options, started on first use and kept until the process ends.

    Args:
        workers: number of workers; one per available CPU core if None.
        memory_mib: MiB of memory a program may use beyond the interpreter itself.
        unsafe: run programs even if the machine cannot isolate them fully.
        isolation: who sets up namespaces and files.
    """
    key = (workers or len(os.sched_getaffinity(0)), memory_mib, unsafe, isolation)
    with _pools_lock:
        if key not in _pools:
            _pools[key] = Pool(*key)
        return _pools[key]


def close_pools() -> None:
    """End every pool of this process."""
    while _pools:
        _pools.popitem()[1].close()


atexit.register(close_pools)
os.register_at_fork(after_in_child=_pools.clear)
