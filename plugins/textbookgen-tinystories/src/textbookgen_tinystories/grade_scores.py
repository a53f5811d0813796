"""Report of GPT-Eval: mean grades and age groups of each model's stories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Evaluator, Input, Labels, RunError, StageInputs
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.rows import ITEM_SCORE_SCHEMA, ITEM_SCORES, report_table
from textbookgen_tinystories.report_rows import mean_row

CRITERIA = ("grammar", "creativity", "consistency", "plot")
INSTRUCTION_FOLLOWING = "instruction_following"
AGE_GROUPS = "ABCDEF"
#: What the figures are about, in reports and comparisons.
BENCHMARK = "gpt-eval"
_SHOWN = 700  # characters of a story in the report


class GradeScores(Evaluator):
    """Report the mean grades of each model's stories, with standard errors, and the share of each age group.

    The standard errors treat the stories as independent; with ten completions of fifty beginnings they are somewhat low.
    """

    name: ClassVar[str] = "grade-scores"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="earlier stages of `tinystories/grades`, one per model"
    )
    examples: int = Field(3, ge=0, description="stories of each model to show in the report, from the best to the worst")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures, model by model.

        `grades.parquet` has every story with its grades and the assessment, `item_scores.parquet` the mean grade of each
        completion's beginning, so that models that completed the same beginnings can be compared.

        Raises:
            RunError: a stage has no graded stories.
        """
        graded = {label: _graded_stories(label, stories) for label, stories in inputs.by_label("from").items()}
        rows = [row for label, stories in graded.items() for row in _figures(label, stories)]
        named = [stories.select(pl.lit(label).alias("subject"), pl.all()) for label, stories in graded.items()]
        write_frame(out / "grades.parquet", pl.concat(named, how="diagonal_relaxed"))
        write_frame(out / ITEM_SCORES, pl.concat([_item_scores(label, stories) for label, stories in graded.items()]))
        passages = [text for label, stories in graded.items() for text in _examples(label, stories, self.examples)]
        write_text(out / "graded_stories.md", "\n".join(passages))
        return report_table(rows)


def _graded_stories(label: str, artifact: Any) -> pl.DataFrame:
    graded: pl.DataFrame = artifact.scan().collect()
    missing = [name for name in (*CRITERIA, "age") if f"tinystories.{name}" not in graded.columns]
    if missing or graded.is_empty():
        raise RunError(f"'{label}' has no graded stories", hint="grade them with `tinystories/grades`", place="from")
    return graded


def _criteria(graded: pl.DataFrame) -> Iterator[str]:
    """The criteria that stories were graded by."""
    yield from CRITERIA
    name = f"tinystories.{INSTRUCTION_FOLLOWING}"
    if name in graded.columns and graded[name].count():
        yield INSTRUCTION_FOLLOWING


def _figures(label: str, graded: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for criterion in _criteria(graded):
        values = graded[f"tinystories.{criterion}"].drop_nulls().cast(pl.Float64).to_list()
        yield {**mean_row(label, criterion, values), "benchmark": BENCHMARK}
    for group in AGE_GROUPS:
        values = [float(age == group) for age in graded["tinystories.age"]]
        yield {**mean_row(label, f"age group {group}", values), "benchmark": BENCHMARK}


def _item_scores(label: str, graded: pl.DataFrame) -> pl.DataFrame:
    """The mean grade per beginning and criterion; of stories without a beginning the grade of each."""
    item = pl.col("tinystories.beginning") if "tinystories.beginning" in graded.columns else pl.lit(None, pl.String)
    stories = graded.with_columns(item=pl.coalesce(item, "text"))
    scores = [
        stories.group_by("item", maintain_order=True)
        .agg(value=pl.col(f"tinystories.{name}").cast(pl.Float64).mean())
        .with_columns(subject=pl.lit(label), benchmark=pl.lit(BENCHMARK), metric=pl.lit(name))
        for name in _criteria(graded)
    ]
    return pl.concat(scores).drop_nulls("value").select(pl.col(name).cast(kind) for name, kind in ITEM_SCORE_SCHEMA.items())


def _examples(label: str, graded: pl.DataFrame, count: int) -> Iterator[str]:
    """Markdown with stories of one model from the best to the worst, evenly spaced."""
    if not count:
        return
    total = pl.sum_horizontal(f"tinystories.{name}" for name in CRITERIA)
    ordered = graded.with_columns(total=total).sort("total", descending=True, maintain_order=True)
    places = [round(place * (ordered.height - 1) / max(count - 1, 1)) for place in range(min(count, ordered.height))]
    yield f"## Graded stories of {label}\n"
    for row in ordered[places].iter_rows(named=True):
        marks = ", ".join(f"{name.replace('_', ' ')} {row[f'tinystories.{name}']}" for name in _criteria(graded))
        story = str(row["text"])
        if row.get("tinystories.beginning"):
            story = f"{row['tinystories.beginning']} *** {row['tinystories.completion']}"
        story = story if len(story) <= _SHOWN else f"{story[:_SHOWN]} …"
        quoted = "\n".join(f"> {line}".rstrip() for line in story.splitlines())
        yield f"{marks}, age group {row['tinystories.age']}:\n\n{quoted}\n\n{row.get('tinystories.assessment') or ''}\n"
