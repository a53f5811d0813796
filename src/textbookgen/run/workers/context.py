"""The bench a worker stands at: the step it works, the step's folder, what flows in, and whom to tell of progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from textbookgen.api.artifacts import COLUMNS, Part, Table
from textbookgen.api.errors import RunError
from textbookgen.api.events import StepRecord
from textbookgen.api.executor import Executor
from textbookgen.api.stage import StageInputs
from textbookgen.llm import TeacherSession
from textbookgen.recipe.planner import PlannedStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.storage.workspace import StepFolder

#: Rows of a part: large enough that a part is worth a file, small enough to be held by every worker at once.
PART_ROWS = 1_000


@dataclass(frozen=True)
class StepContext:
    """All that a worker needs to work one step."""

    step: PlannedStep
    folder: StepFolder
    inputs: StageInputs
    executor: Executor
    prompts: Prompts
    ledger: Path
    session: TeacherSession | None  # where all stages that share this one's teacher ask: one gate, one budget
    offline: bool
    progress: Callable[[float, float | None, str, str], None]  # done, total, unit, note

    def source(self) -> Table:
        """What flows in through `from`, as one table.

        Raises:
            RunError: two of the inputs hold the same document.
        """
        table = self.inputs["from"]
        if not isinstance(table, Table):
            raise RunError("what flows in is no table")
        if len(self.step.inputs["from"]) > 1:
            self._refuse_duplicates(table)
        return table

    def _refuse_duplicates(self, table: Table) -> None:
        duplicates = table.scan().select("id").group_by("id").len().filter(pl.col("len") > 1).head(1).collect()
        if len(duplicates):
            names = " and ".join(f"'{label}'" for label in self.step.inputs["from"])
            problem = f"{names} hold the same document, {duplicates['id'][0]}"
            raise RunError(problem, hint="two stages that share a sampler and a prompt need their own `seed`")


def signed(rows: pl.DataFrame, step: str, kind: str) -> pl.DataFrame:
    """The rows with all columns that are ours, in their order; what is missing is filled in."""
    fill = {"kind": pl.lit(kind), "step": pl.lit(step), "parents": pl.lit([], dtype=COLUMNS["parents"])}
    missing = [
        fill.get(name, pl.lit(None)).cast(kind_of).alias(name) for name, kind_of in COLUMNS.items() if name not in rows.columns
    ]
    rows = rows.with_columns(pl.lit(step).alias("step")).with_columns(
        [item for item in missing if item.meta.output_name() != "step"]
    )
    ours = [
        "id",
        *[name for name in ("text", "messages", "prompt", "chosen", "rejected") if name in rows.columns],
        *list(COLUMNS)[1:],
    ]
    return rows.select([*ours, *[name for name in rows.columns if name not in ours]])


def judged(folder: StepFolder) -> tuple[int, dict[str, int]]:
    """How many rows the verdicts on disk keep, and how many they drop for which reason."""
    files = folder.parts("verdicts")
    if not files:
        return 0, {}
    verdicts = pl.concat([pl.scan_parquet(file).select("keep", "reason") for file in files])
    counts = verdicts.group_by("keep", "reason").len().collect()
    kept = int(counts.filter("keep")["len"].sum())
    dropped = counts.filter(~pl.col("keep")).sort(["len", "reason"], descending=[True, False])
    return kept, {reason or "no reason given": count for reason, count in zip(dropped["reason"], dropped["len"], strict=True)}


def verdict_record(folder: StepFolder, rows_in: int) -> StepRecord:
    """The record of a step that judges."""
    kept, dropped = judged(folder)
    return StepRecord(rows_in=rows_in, rows_out=kept, dropped=dropped)


def rows_in(parts: list[Path]) -> int:
    """How many rows these parquet files hold, from their footers."""
    return (
        int(pl.concat([pl.scan_parquet(part) for part in parts], how="diagonal_relaxed").select(pl.len()).collect().item())
        if parts
        else 0
    )


def views(table: Table) -> list[tuple[int, Part]]:
    """The parts of a table, numbered as the step's own parts will be."""
    return list(enumerate(table.parts))
