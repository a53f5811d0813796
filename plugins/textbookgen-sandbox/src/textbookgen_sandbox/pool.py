"""A pool of walled-in interpreters that run one program at a time each, and say how it went."""

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
from typing import Any

from textbookgen import PluginError, RunError
from textbookgen_sandbox.inside import walls, zygote
from textbookgen_sandbox.inside.page import Note
from textbookgen_sandbox.inside.watch import CLOCK

_START = "import sys; sys.path.insert(0, {folder!r}); from inside.zygote import main; main({channel}, {memory}, {bare})"
_NOBODY = 65534
_PATIENCE = 60.0  # seconds for an interpreter to start on a busy machine


@dataclass(frozen=True)
class Program:
    """A program to run, its tests, and what it may use; `seconds` of CPU, five times as many by the clock.

    With `page` the text is Markdown, and what is run is its snippets.
    """

    text: str
    tests: str = ""
    seconds: float = 3.0
    output_kib: int = 64
    apart: bool = True
    page: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a program went: `reason` is empty if it ran to its end (and its tests passed)."""

    ok: bool
    reason: str
    stdout: str
    stderr: str
    seconds: float
    cpu: float
    snippets: int = 0
    notes: tuple[Note, ...] = ()


class Worker:
    """One walled-in interpreter, as seen by the host; `bare` does without namespaces."""

    def __init__(self, memory_mib: int, bare: bool = False) -> None:
        self.channel, inside = socket.socketpair()
        with inside:
            self.process = self._start(inside.fileno(), memory_mib, bare)
        self.channel.settimeout(_PATIENCE)
        self.lacks: tuple[str, ...] = self._greet()

    def _start(self, channel: int, memory: int, bare: bool) -> subprocess.Popen[bytes]:
        code = _START.format(folder=str(Path(__file__).parent), channel=channel, memory=memory, bare=bare)
        return subprocess.Popen(
            [walls.interpreter(), "-S", "-s", "-P", "-B", "-X", "utf8", "-c", code],
            env={"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1"},  # sets in the same order on every run
            stdin=subprocess.DEVNULL,
            pass_fds=(channel,),
            cwd="/",
            start_new_session=True,
        )

    def _greet(self) -> tuple[str, ...]:
        """Maps users when the interpreter asks for it, and hears what its walls lack."""
        told = self._receive()
        if "unshared" in told:
            self._send({"guest": _map_users(told["unshared"])})
            told = self._receive()
        return tuple(told["lacks"])

    def _send(self, message: dict[str, Any], files: Sequence[int] = ()) -> None:
        try:
            zygote.send(self.channel, message, files)
        except OSError as error:
            raise _stopped() from error

    def _receive(self) -> dict[str, Any]:
        try:
            told, _ = zygote.receive(self.channel)
        except OSError as error:
            raise _stopped() from error
        if not isinstance(told, dict):
            raise _stopped()
        return told

    def run(self, program: Program) -> Outcome:
        """Runs one program. Tests that are run apart go as a file, which is handed on unread."""
        self.channel.settimeout(CLOCK * program.seconds + _PATIENCE)
        apart = bool(program.tests) and program.apart
        asked = {"text": program.text, "tests": "" if apart else program.tests, "page": program.page}
        asked |= {"seconds": program.seconds, "output": program.output_kib << 10}
        with os.fdopen(os.memfd_create("tests"), "w+b") as tests:
            if apart:
                tests.write(program.tests.encode(errors="surrogatepass"))
                tests.seek(0)
            self._send(asked, [tests.fileno()] if apart else [])
        return _outcome(self._receive())

    def close(self) -> None:
        """Ends the interpreter: it goes when its channel does."""
        self.channel.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _stopped() -> RunError:
    return RunError("the sandbox's interpreter stopped", hint="its own words are above, on stderr")


def _outcome(told: dict[str, Any]) -> Outcome:
    """What a worker told; notes are the program's own words, so what is not one is left out."""
    outcome = Outcome(told["ok"], told["reason"], told["stdout"], told["stderr"], told["seconds"], told["cpu"])
    snippets, notes = told.get("snippets"), told.get("notes")
    if not isinstance(snippets, int) or not isinstance(notes, list):
        return outcome
    return replace(outcome, snippets=snippets, notes=tuple(filter(None, map(_note, notes))))


def _note(told: object) -> Note | None:
    match told:
        case [int(line), str(says), list(printed), bool(exact)]:
            return Note(line, says, [str(item) for item in printed], exact)
    return None


def _map_users(pid: int) -> bool:
    """Says who the users inside are outside; true if there is a guest, who is nobody outside."""
    folder, user, group = Path("/proc", str(pid)), os.geteuid(), os.getegid()
    if user == 0:
        with contextlib.suppress(OSError):
            (folder / "uid_map").write_text(f"0 0 1\n{walls.GUEST} {_NOBODY} 1\n")
            (folder / "gid_map").write_text(f"0 0 1\n{walls.GUEST} {_NOBODY} 1\n")
            return True
    (folder / "setgroups").write_text("deny")
    (folder / "uid_map").write_text(f"0 {user} 1\n")
    (folder / "gid_map").write_text(f"0 {group} 1\n")
    return False


class Pool:
    """Workers that share the work; `run` may be called from any thread. They are started when first needed.

    Raises:
        PluginError: from whatever needs a worker, where the machine offers less isolation than needed and `unsafe` is not set.
    """

    def __init__(self, workers: int, memory_mib: int, unsafe: bool = False) -> None:
        self.memory_mib = memory_mib
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
            worker = worker or self._hire()
            yield worker
        except BaseException:
            if worker is not None:
                worker.process.kill()
                worker.close()
            worker = None  # a new one takes its place
            raise
        finally:
            self._idle.put(worker)

    def _hire(self) -> Worker:
        worker = Worker(self.memory_mib)
        if worker.lacks:
            worker.close()
            if not self.unsafe:
                raise PluginError(
                    f"this machine cannot wall in the programs that are to be run: it lacks {'; '.join(worker.lacks)}",
                    hint="allow unprivileged user namespaces (in a container: --security-opt seccomp=unconfined), or set "
                    "`unsafe = true` if you trust the programs, or the machine is worth nothing",
                )
            worker = Worker(self.memory_mib, bare=True)
        with self._lock:
            self._all.append(worker)
        return worker

    def check(self) -> None:
        """Starts a worker, if there is none yet, and with it finds out what the machine offers."""
        with self._worker():
            pass

    def run(self, program: Program) -> Outcome:
        """Runs one program, when a worker is free."""
        with self._worker() as worker:
            return worker.run(program)

    def map(self, programs: Iterable[Program]) -> Iterator[Outcome]:
        """Runs programs side by side; outcomes come in the order of the programs."""
        return self._threads.map(self.run, programs)

    def close(self) -> None:
        """Ends all workers."""
        self._threads.shutdown(cancel_futures=True)
        for worker in self._all:
            worker.close()


_pools: dict[tuple[int, int, bool], Pool] = {}
_opening = threading.Lock()


def open_pool(workers: int | None, memory_mib: int, unsafe: bool = False) -> Pool:
    """The pool of this process with so many workers (one a core, unless said); it is kept until the process ends."""
    key = (workers or len(os.sched_getaffinity(0)), memory_mib, unsafe)
    with _opening:
        if key not in _pools:
            _pools[key] = Pool(*key)
        return _pools[key]


def close_pools() -> None:
    """Ends every pool of this process."""
    while _pools:
        _pools.popitem()[1].close()


atexit.register(close_pools)
os.register_at_fork(after_in_child=_pools.clear)
