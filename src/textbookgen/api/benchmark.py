"""Benchmark: problems to score models on, which must not occur in training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class BenchmarkItem:
    """One problem, and how to check a completion.

    For code, `tests` is not empty: a completion passes if the program `prompt + completion + "\\n" + tests` runs without an
    error. For others, a completion passes if it equals `solution`, apart from white space.

    Attributes:
        id: unique within the benchmark, such as `HumanEval/0`.
        prompt: what the model completes; for code usually a signature with a docstring.
        solution: a correct completion.
        tests: Python code that raises an error unless the completion is correct; empty for items without code.
        entry_point: the name of the function that the tests call; may be empty.
    """

    id: str
    prompt: str
    solution: str
    tests: str = ""
    entry_point: str = ""


class Benchmark(Protocol):
    """A named list of problems. A plugin provides one through the hook `open_benchmark`.

    Attributes:
        name: what reports call it.
        stop: texts that end a completion; the completion is cut before the first of them.
    """

    name: str
    stop: tuple[str, ...]

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield every item, in a fixed order. This is where files or addresses are read.

        Raises:
            RunError: the items cannot be read.
        """
        ...
