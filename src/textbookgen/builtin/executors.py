"""Built-in executors: serial, or in several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import BaseContext
from typing import TypeVar

from textbookgen.api.errors import RunError
from textbookgen.api.executor import Executor
from textbookgen.api.hookspecs import hookimpl

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Modules that the forkserver imports once for all workers. polars is excluded: it starts threads on import, and a process
#: with threads must not be forked.
PRELOAD = ["pydantic", "pluggy", "jinja2", "tokenizers", "textbookgen.api.errors", "textbookgen.api.hookspecs"]


class Serial:
    """Runs tasks in this process, one after the other."""

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield each result before the next task starts."""
        yield from map(function, tasks)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


class Processes:
    """Runs tasks in worker processes, which start on first use and stay until `close`.

    Workers are never forked from this process, since a fork would copy polars' threads in an undefined state. At most two
    tasks per process are submitted at a time. polars uses an equal share of the cores in each worker.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield results as they are completed; after the first error, tasks that have not started are dropped.

        Raises:
            RunError: a worker died, usually because memory ran out.
        """
        remaining = iter(tasks)
        pending: set[Future[Result]] = set()
        try:
            while True:
                pending |= {self._submit(function, task) for task in islice(remaining, 2 * self.processes - len(pending))}
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            self.close()
            hint = f"it probably ran out of memory: use fewer than {self.processes} processes, or `serial` to see the error"
            raise RunError("a worker process died unexpectedly", hint=hint) from error
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the processes after their current tasks."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _submit(self, function: Callable[[Task], Result], task: Task) -> Future[Result]:
        if self._pool is None:
            environment = {**os.environ, "POLARS_MAX_THREADS": str(max(1, _cores() // self.processes))}
            self._pool = ProcessPoolExecutor(self.processes, _context(), _start_worker, (environment,))
        return self._pool.submit(_call, function, task)


def _context() -> BaseContext:
    """Return a start method that copies no threads: a fork server without threads, or a new interpreter."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _start_worker(environment: Mapping[str, str]) -> None:
    """Initialize a worker: use the environment of the run, ignore Ctrl-C, and exit when the run exits.

    The fork server has the environment that it was started with, which may be outdated.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the parent process dies; otherwise the worker would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


def _call(function: Callable[[Task], Result], task: Task) -> Result:
    """Run a task; replace an error that does not pickle, since it would break the whole pool."""
    try:
        return function(task)
    except BaseException as error:  # panics of libraries in Rust are not of the class Exception
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RunError(f"{type(error).__name__}: {error}") from None
        raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@hookimpl
def open_executor(name: str) -> Executor | None:
    """Open `serial`, `processes` (one per core), or `processes:N`."""
    if name == "serial":
        return Serial()
    kind, _, number = name.partition(":")
    if kind != "processes":
        return None
    with contextlib.suppress(ValueError):
        processes = int(number) if number else _cores()
        if processes > 0:
            return Processes(processes)
    raise RunError(f"invalid number of processes in '{name}'", hint="write `processes:4`, or `processes` for one per core")
