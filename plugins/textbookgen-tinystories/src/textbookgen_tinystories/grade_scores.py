"""Report of GPT-Eval: mean grades and age groups of each model's stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Evaluator, Input, Labels, RunError, StageInputs
from textbookgen.api.rows import report_table
from textbookgen_tinystories.report_rows import mean_row

CRITERIA = ("grammar", "creativity", "consistency", "plot")
AGE_GROUPS = "ABCDEF"


class GradeScores(Evaluator):
    """Report the mean grades of each model's stories, with standard errors, and the share of each age group."""

    name: ClassVar[str] = "grade-scores"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="earlier stages of `tinystories/grades`, one per model"
    )

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures, model by model.

        Raises:
            RunError: a stage has no graded stories.
        """
        rows = [row for label, stories in inputs.by_label("from").items() for row in _figures(label, stories)]
        return report_table(rows)


def _figures(label: str, stories: Any) -> Iterator[dict[str, Any]]:
    graded = stories.scan().collect()
    missing = [name for name in (*CRITERIA, "age") if f"tinystories.{name}" not in graded.columns]
    if missing or graded.is_empty():
        raise RunError(f"'{label}' has no graded stories", hint="grade them with `tinystories/grades`", place="from")
    for criterion in CRITERIA:
        yield mean_row(label, criterion, graded[f"tinystories.{criterion}"].cast(pl.Float64).to_list())
    for group in AGE_GROUPS:
        yield mean_row(label, f"age group {group}", [float(age == group) for age in graded["tinystories.age"]])
