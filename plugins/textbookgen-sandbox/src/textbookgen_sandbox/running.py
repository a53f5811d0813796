"""What the judges that run programs have in common: where and how long a program runs, and verdicts from outcomes."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from pydantic import Field

from textbookgen import Filter, Runtime, StageInputs
from textbookgen_sandbox.pool import Outcome, Pool, open_pool

DETAIL_LINES = 12


class RunsPrograms(Filter):
    """A judge that needs programs run: the options every such judge has."""

    text: str = Field("text", description="column that holds what is run")
    seconds: float = Field(3.0, gt=0, description="CPU seconds a program may use; by the clock it may take five times as long")
    memory_mib: int = Field(256, ge=16, description="MiB of memory a program may take, beyond the interpreter's own")
    max_output_kib: int = Field(64, ge=1, description="KiB a program may print before it is stopped")
    workers: Annotated[int | None, Runtime] = Field(
        None, gt=0, description="programs run side by side; one a core unless given"
    )
    unsafe: Annotated[bool, Runtime] = Field(
        False, description="run programs even where this machine cannot wall them in fully"
    )

    def prepare(self, inputs: StageInputs) -> None:
        """Finds out, once, whether this machine can wall programs in.

        Raises:
            PluginError: it cannot, and `unsafe` is not set.
        """
        self._pool().check()

    def _pool(self) -> Pool:
        return open_pool(self.workers, self.memory_mib, self.unsafe)


def detail(outcome: Outcome) -> str | None:
    """The evidence for a verdict: the last lines a program wrote to stderr, or what it was stopped for."""
    if outcome.ok:
        return None
    lines = outcome.stderr.rstrip().splitlines()[-DETAIL_LINES:]
    return "\n".join(lines) or outcome.reason


VERDICTS: dict[str, type[pl.DataType]] = {
    "id": pl.String,
    "keep": pl.Boolean,
    "reason": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
}
