"""Executor: where parts are worked, in process, in a pool, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Executor(Protocol):
    """Works independent parts; each writes its own file, so order and place do not matter."""

    def map(self, work: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
        """Calls `work` once for each task, in any order; yields results as they come and raises the first error.

        `work` is a function of a module and tasks can be pickled, so that both can travel to other processes.
        """
        ...

    def close(self) -> None:
        """Lets go of processes and connections."""
        ...
