"""The context that a worker runs a step in, and the helpers that workers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from textbookgen.api.artifacts import COLUMNS, Table
from textbookgen.api.errors import RunError
from textbookgen.api.events import Event, Progress, StepRecord
from textbookgen.api.executor import Executor
from textbookgen.api.stage import StageInputs
from textbookgen.llm import TeacherSession
from textbookgen.recipe.plan import PlannedStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.storage.workspace import VERDICTS, StepFolder

#: Rows per part: enough to be worth a file, few enough for every process to hold a part in memory.
PART_ROWS = 1_000

_CONTENT = ("text", "messages", "prompt", "chosen", "rejected")


@dataclass(frozen=True)
class StepContext:
    """Everything that a worker needs to run one step.

    `session` is shared by all stages that use the same teacher, and so are its rate limits and budget; None without a teacher.
    `filter_sessions` has those of the graders in `accept`, by the number of the filter, `asked_sessions` those of the teachers
    that an evaluator asks, by label.
    """

    step: PlannedStep
    folder: StepFolder
    inputs: StageInputs
    executor: Executor
    prompts: Prompts
    ledger: Path
    session: TeacherSession | None
    offline: bool
    notify: Callable[[Event], None]
    filter_sessions: Mapping[int, TeacherSession] = field(default_factory=dict)
    asked_sessions: Mapping[str, TeacherSession] = field(default_factory=dict)

    def progress(self, done: float, total: float | None, unit: str, note: str = "") -> None:
        """Notify observers that `done` of `total` units are complete; `total` is None if it is not known."""
        self.notify(Progress(self.step.label, done, total, unit, note))

    def source(self) -> Table:
        """Return the tables of the input `from` as one.

        Raises:
            RunError: two of them contain the same document.
        """
        tables = [artifact for artifact in self.inputs.by_label("from").values() if isinstance(artifact, Table)]
        table = type(tables[0]).concatenate(tables)
        duplicate = first_duplicate(table.scan()) if len(tables) > 1 else None
        if duplicate is not None:
            labels = " and ".join(f"'{label}'" for label in self.step.inputs["from"])
            hint = "give stages that share a sampler and a prompt different values of `seed`"
            raise RunError(f"duplicate document id in {labels}: {duplicate}", hint=hint)
        return table


def first_duplicate(rows: pl.LazyFrame) -> str | None:
    """Return an id that more than one row has; None if all ids are different."""
    duplicates = rows.select("id").group_by("id").len().filter(pl.col("len") > 1).head(1).collect()
    return str(duplicates["id"][0]) if len(duplicates) else None


def with_standard_columns(rows: pl.DataFrame, step: str, kind: str) -> pl.DataFrame:
    """Return the rows with all standard columns, in their order and before any others.

    Args:
        rows: rows with at least `id`.
        step: the address of the step, which replaces any value of the column `step`.
        kind: the kind of rows that have none.
    """
    if "id" not in rows.columns:
        raise RunError("the stage returned rows without the column `id`", hint=f"the columns are {', '.join(rows.columns)}")
    defaults = {"kind": pl.lit(kind), "parents": pl.lit([], dtype=COLUMNS["parents"])}
    missing = [
        defaults.get(name, pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in COLUMNS.items()
        if name not in rows.columns and name != "step"
    ]
    rows = rows.with_columns(pl.lit(step).alias("step"), *missing)
    standard = ["id", *[name for name in _CONTENT if name in rows.columns], *list(COLUMNS)[1:]]
    return rows.select([*standard, *[name for name in rows.columns if name not in standard]])


def count_rows(parts: Sequence[Path]) -> int:
    """Return the number of rows in these parquet files, from their footers."""
    if not parts:
        return 0
    return int(pl.concat([pl.scan_parquet(part).select(pl.len()) for part in parts]).sum().collect().item())


def count_verdicts(folder: StepFolder) -> tuple[int, dict[str, int]]:
    """Return how many rows the verdicts of a step keep, and how many they drop for each reason, most frequent first."""
    files = folder.parts(VERDICTS)
    if not files:
        return 0, {}
    verdicts = pl.concat([pl.scan_parquet(file).select("keep", "reason") for file in files])
    counts = verdicts.group_by("keep", "reason").len().collect()
    kept = int(counts.filter("keep")["len"].sum())
    dropped = counts.filter(~pl.col("keep")).sort(["len", "reason"], descending=[True, False])
    return kept, {reason or "no reason given": count for reason, count in zip(dropped["reason"], dropped["len"], strict=True)}


def verdict_record(folder: StepFolder, rows_in: int) -> StepRecord:
    """Return the record of a step that writes verdicts."""
    kept, dropped = count_verdicts(folder)
    return StepRecord(rows_in=rows_in, rows_out=kept, dropped=dropped)
