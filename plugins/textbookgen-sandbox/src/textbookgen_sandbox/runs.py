"""Judge `runs`: keeps the programs that run to their end, and whose tests pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen_sandbox.pool import Program
from textbookgen_sandbox.running import VERDICTS, RunsPrograms, detail


class PassesTests(RunsPrograms):
    """Runs each document as a Python program, and its tests on it, behind walls; keeps it if nothing was raised.

    The reason of a dropped document is the first built-in class of what it raised (`AssertionError`, `SyntaxError`), or
    `time limit`, `memory limit`, `output limit`, `killed` (by a signal of its own making), or `exited early` (it left
    before its end). The sandbox's README says what the walls are made of, and what tests can and cannot be told.
    """

    name: ClassVar[str] = "tests-pass"

    tests: str = Field(
        "textbooks.tests", description="column that holds tests, run after the text where there are any; it may be missing"
    )
    apart: bool = Field(True, description="run tests in a process of their own, which the program cannot tamper with")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts in the order of the documents, with `score` 1 or 0; the same programs have the same verdicts."""
        outcomes = self._pool().map(self._programs(docs))
        rows: Iterator[tuple[Any, ...]] = (
            (id, outcome.ok, outcome.reason or None, float(outcome.ok), detail(outcome))
            for id, outcome in zip(docs["id"], outcomes, strict=True)
        )
        return pl.DataFrame(list(rows), schema=VERDICTS, orient="row")

    def _programs(self, docs: pl.DataFrame) -> Iterator[Program]:
        tests = docs[self.tests] if self.tests in docs.columns else [None] * len(docs)
        for text, its_tests in zip(docs[self.text], tests, strict=True):
            yield Program(text or "", its_tests or "", self.seconds, self.max_output_kib, self.apart)
