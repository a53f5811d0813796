"""Base of the filters that run programs: their options, and their verdicts."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from pydantic import Field

from textbookgen import Filter, Runtime, StageInputs
from textbookgen_sandbox.pool import IsolationName, Outcome, Pool, open_pool

MAX_DETAIL_LINES = 12
VERDICTS: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "keep": pl.Boolean,
    "reason": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
}


class ProgramFilter(Filter):
    """A filter that runs each document as a program in the sandbox."""

    text: str = Field("text", description="column of the program to run")
    seconds: float = Field(
        3.0, gt=0, description="CPU seconds a program may use; its wall-clock limit is five times as long, for busy machines"
    )
    memory_mib: int = Field(256, ge=16, description="MiB of memory a program may use, beyond the interpreter itself")
    max_output_kib: int = Field(64, ge=1, description="KiB a program may print before it is stopped")
    workers: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="number of programs run in parallel (default: one per CPU core)"
    )
    isolation: Annotated[IsolationName, Runtime] = Field(
        "auto", description="who sets up namespaces and files: this package, or bubblewrap where it is installed"
    )
    unsafe: Annotated[bool, Runtime] = Field(False, description="run programs even if this machine cannot isolate them fully")

    def prepare(self, inputs: StageInputs) -> None:
        """Check once whether this machine can isolate programs.

        Raises:
            PluginError: it cannot, and `unsafe` is not set.
        """
        self._pool().check()

    def _pool(self) -> Pool:
        return open_pool(self.workers, self.memory_mib, self.unsafe, self.isolation)


def failure_detail(outcome: Outcome) -> str | None:
    """Return the evidence for a verdict: the last lines of stderr, or the reason; None if the program succeeded."""
    if outcome.ok:
        return None
    lines = outcome.stderr.rstrip().splitlines()[-MAX_DETAIL_LINES:]
    return "\n".join(lines) or outcome.reason
