"""Filter `tests-pass`: keeps the programs that run to their end and whose tests pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen_sandbox.pool import Program
from textbookgen_sandbox.stages.program_filter import VERDICTS, ProgramFilter, failure_detail


class PassingTests(ProgramFilter):
    """Runs each document as a Python program in the sandbox, then its tests, and keeps it if nothing is raised.

    The reason of a dropped document is the first built-in class of the error (`AssertionError`, `SyntaxError`), or
    `time limit`, `memory limit`, `output limit`, `killed` (by a signal it caused itself), or `exited early` (it ended before
    its last line). The README of the sandbox describes the isolation and what a verdict proves.
    """

    name: ClassVar[str] = "tests-pass"
    version: ClassVar[int] = 2

    tests: str = Field(
        "textbooks.tests", description="column of the tests, run after the program; the column and its values are optional"
    )
    isolate_tests: bool = Field(True, description="run tests in a separate process that the program cannot tamper with")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts in the order of the documents, with score 1 or 0; equal programs get equal verdicts."""
        outcomes = self._pool().map(self._programs(docs))
        rows: Iterator[tuple[Any, ...]] = (
            (id, outcome.ok, outcome.reason or None, float(outcome.ok), failure_detail(outcome))
            for id, outcome in zip(docs["id"], outcomes, strict=True)
        )
        return pl.DataFrame(list(rows), schema=VERDICTS, orient="row")

    def _programs(self, docs: pl.DataFrame) -> Iterator[Program]:
        tests = docs[self.tests] if self.tests in docs.columns else [None] * len(docs)
        for text, its_tests in zip(docs[self.text], tests, strict=True):
            yield Program(text or "", its_tests or "", self.seconds, self.max_output_kib, self.isolate_tests)
