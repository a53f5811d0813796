"""Benchmark: items that must stay out of training data, and that models are scored by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class BenchmarkItem:
    """One problem: what a model is given, one right answer, and how an answer is checked.

    For code, `prompt` ends where the model goes on (signature and docstring), `solution` is the right continuation, and
    `tests` is code that raises unless `prompt + completion` is right. For others `tests` is empty and an answer is
    right if it equals `solution`.
    """

    id: str
    prompt: str
    solution: str
    tests: str = ""
    entry_point: str = ""


class Benchmark(Protocol):
    """A set of items with a name."""

    name: str
    stop: tuple[str, ...]  # a completion ends before the first of these

    def items(self) -> Iterator[BenchmarkItem]:
        """Every item, in a fixed order."""
        ...
