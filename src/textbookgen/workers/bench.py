"""The bench a worker stands at: the step it works, the step's folder, what flows in, and whom to tell of progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from textbookgen.artifacts import COLUMNS, Part, Table
from textbookgen.asking import Desk
from textbookgen.errors import RunError
from textbookgen.events import Record
from textbookgen.executor import Executor
from textbookgen.plan import PlannedStep
from textbookgen.prompts import Prompts
from textbookgen.stage import Given
from textbookgen.workspace import StepFolder

#: Rows of a part: large enough that a part is worth a file, small enough to be held by every worker at once.
PART_ROWS = 1_000


@dataclass(frozen=True)
class Bench:
    """All that a worker needs to work one step."""

    step: PlannedStep
    folder: StepFolder
    given: Given
    executor: Executor
    prompts: Prompts
    ledger: Path
    desk: Desk | None  # where all stages that share this one's teacher ask: one gate, one budget
    offline: bool
    progress: Callable[[float, float | None, str, str], None]  # done, total, unit, note

    def source(self) -> Table:
        """What flows in through `from`, as one table.

        Raises:
            RunError: two of the inputs hold the same document.
        """
        table = self.given["from"]
        if not isinstance(table, Table):
            raise RunError("what flows in is no table")
        if len(self.step.pipes["from"]) > 1:
            self._refuse_twins(table)
        return table

    def _refuse_twins(self, table: Table) -> None:
        twins = table.scan().select("id").group_by("id").len().filter(pl.col("len") > 1).head(1).collect()
        if len(twins):
            names = " and ".join(f"'{label}'" for label in self.step.pipes["from"])
            problem = f"{names} hold the same document, {twins['id'][0]}"
            raise RunError(problem, hint="two stages that share a sampler and a prompt need their own `seed`")


def signed(rows: pl.DataFrame, step: str, kind: str) -> pl.DataFrame:
    """The rows with all columns that are ours, in their order; what is missing is filled in."""
    fill = {"kind": pl.lit(kind), "step": pl.lit(step), "parents": pl.lit([], dtype=COLUMNS["parents"])}
    missing = [
        fill.get(name, pl.lit(None)).cast(kind_of).alias(name) for name, kind_of in COLUMNS.items() if name not in rows.columns
    ]
    rows = rows.with_columns(pl.lit(step).alias("step")).with_columns(
        [each for each in missing if each.meta.output_name() != "step"]
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


def verdict_record(folder: StepFolder, rows_in: int) -> Record:
    """The record of a step that judges."""
    kept, dropped = judged(folder)
    return Record(rows_in=rows_in, rows_out=kept, dropped=dropped)


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
