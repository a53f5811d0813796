"""Executor: where parts are processed: in this process, in several, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs independent tasks. Each writes its own file, so neither order nor place matters.

    A plugin provides one through the hook `open_executor`. All processes must see the work folder at the same path, and have
    the same plugins installed.
    """

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Call a function for each task, once, in any order and place.

        Args:
            function: a function of a module, so that it pickles by name.
            tasks: picklable arguments: stages before `prepare`, paths and options, never data.

        Yields:
            The results, which pickle, as they are completed.

        Raises:
            Exception: the first error of a task, as it was raised there; tasks that have not started are then dropped.
            RunError: a process died.
        """
        ...

    def close(self) -> None:
        """End processes and connections; called once, after the last `map`."""
        ...
