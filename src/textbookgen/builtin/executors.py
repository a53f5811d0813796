"""Where parts are worked on this machine: one after the other, or in several processes."""

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

T = TypeVar("T")
R = TypeVar("R")

#: What the forkserver imports once for all workers. polars is not among them: it starts threads at import, and a
#: process with threads must not be forked.
PRELOAD = ["pydantic", "pluggy", "jinja2", "tokenizers", "textbookgen.api.errors", "textbookgen.api.hookspecs"]


class Serial:
    """Works parts in this process, one after the other."""

    def map(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Yields each result before the next task is begun."""
        yield from map(work, tasks)

    def close(self) -> None:
        """Holds nothing."""


class Processes:
    """Works parts in processes of their own, which are started at first use and stay until `close`.

    Processes are never forked from this one, whose threads (polars') a fork would leave in the middle of things. At
    most twice as many tasks as processes are handed out at a time. Each worker's polars has its share of the cores.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def map(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Yields results as they come; the first error ends it, and what was not begun is not begun any more.

        Raises:
            RunError: a worker died, most often for want of memory.
        """
        rest = iter(tasks)
        under_way: set[Future[R]] = set()
        try:
            while True:
                under_way |= {self._submit(work, task) for task in islice(rest, 2 * self.processes - len(under_way))}
                if not under_way:
                    return
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            self.close()
            hint = (
                f"the usual cause is want of memory: try fewer than {self.processes} processes, or `serial` to see the reason"
            )
            raise RunError("a worker process died in the middle of its work", hint=hint) from error
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """Ends the processes, once they are done with what they do now."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _submit(self, work: Callable[[T], R], task: T) -> Future[R]:
        if self._pool is None:
            facts = {**os.environ, "POLARS_MAX_THREADS": str(max(1, _cores() // self.processes))}
            self._pool = ProcessPoolExecutor(self.processes, _context(), _begin, (facts,))
        return self._pool.submit(_call, work, task)


def _context() -> BaseContext:
    """A way to start processes that forks no threads: a server that was started before there were any, or afresh."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _begin(environment: Mapping[str, str]) -> None:
    """What a worker does first: takes on the run's environment, leaves Ctrl-C to the run, and ends when the run ends.

    The forkserver keeps the environment it was started with, which may be older than the run's.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_any([parent.sentinel])
        os._exit(1)


def _call(work: Callable[[T], R], task: T) -> R:
    """Errors travel home only if they can be unpickled there; one that cannot would break the whole pool."""
    try:
        return work(task)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RunError(f"{type(error).__name__}: {error}") from None
        raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@hookimpl
def open_executor(name: str) -> Executor | None:
    """`serial`, `processes` (one for each core), and `processes:N`."""
    if name == "serial":
        return Serial()
    kind, _, number = name.partition(":")
    if kind != "processes":
        return None
    with contextlib.suppress(ValueError):
        processes = int(number) if number else _cores()
        if processes > 0:
            return Processes(processes)
    raise RunError(f"'{name}' is no number of processes", hint="write `processes:4`, or `processes` for one for each core")
