"""Report of the unconventional evaluation: grades of understanding, what execution says, and whether the two agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Evaluator, Input, Labels, RunError, StageInputs
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.rows import ITEM_SCORE_SCHEMA, ITEM_SCORES, report_table

BENCHMARK = "unconventional"
_METRICS = {
    "understanding": pl.col("textbooks.grade") / 10,
    "steps done": pl.col("textbooks.steps_done"),
    "pass@1": pl.col("textbooks.passed"),
}
_ALL_MODELS = "all models"


class UnderstandingScores(Evaluator):
    """Report for each model the mean grade as a share (`understanding`), the share of steps done, and pass@1.

    `rank correlation with steps done` is Spearman's between the grades and the truth, over the solutions of all models: what
    the grader is worth. It is not reported if all grades or all solutions are alike.
    """

    name: ClassVar[str] = "understanding-scores"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="earlier stages of `textbooks/understanding`, one per model"
    )
    examples: int = Field(
        3, ge=0, description="solutions of each model to show in the report, from the best to the worst grade"
    )

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; `grades.parquet` has every solution with its grade, `item_scores.parquet` the scores of problems.

        Raises:
            RunError: a stage has no graded solutions.
        """
        tables = {label: _graded(label, artifact) for label, artifact in inputs.by_label("from").items()}
        named = [table.select(pl.lit(label).alias("subject"), pl.all()) for label, table in tables.items()]
        solutions = pl.concat(named, how="diagonal_relaxed")
        write_frame(out / "grades.parquet", solutions)
        scores = pl.concat([_item_scores(label, table) for label, table in tables.items()])
        write_frame(out / ITEM_SCORES, scores)
        write_text(out / "graded_solutions.md", "\n".join(_examples(solutions, self.examples)))
        return report_table([*_figures(scores), *_agreement(solutions)])


def rank_correlation(grades: Sequence[float], truth: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, with mean ranks for ties; None if one of the two is constant."""
    if len(set(grades)) < 2 or len(set(truth)) < 2:
        return None
    table = pl.DataFrame({"grade": grades, "truth": truth}, schema={"grade": pl.Float64, "truth": pl.Float64})
    return float(table.select(pl.corr("grade", "truth", method="spearman")).item())


def _graded(label: str, artifact: Any) -> pl.DataFrame:
    table: pl.DataFrame = artifact.scan().collect()
    if table.is_empty() or "textbooks.grade" not in table.columns:
        raise RunError(f"'{label}' has no graded solutions", hint="grade them with `textbooks/understanding`", place="from")
    return table


def _item_scores(label: str, table: pl.DataFrame) -> pl.DataFrame:
    """The mean over the solutions of each problem, for each metric."""
    parts = [
        table.group_by(item="textbooks.entry_point", maintain_order=True)
        .agg(value=value.cast(pl.Float64).mean())
        .with_columns(subject=pl.lit(label), benchmark=pl.lit(BENCHMARK), metric=pl.lit(metric))
        for metric, value in _METRICS.items()
    ]
    return pl.concat(parts).select(pl.col(name).cast(kind) for name, kind in ITEM_SCORE_SCHEMA.items())


def _figures(scores: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The mean over the problems with its standard error."""
    for (subject, metric), rows in scores.group_by("subject", "metric", maintain_order=True):
        values = rows["value"]
        deviation = float(values.std() or 0.0) if values.len() > 1 else 0.0  # type: ignore[arg-type]
        yield {
            "subject": subject,
            "benchmark": BENCHMARK,
            "metric": metric,
            "value": values.mean(),
            "stderr": deviation / values.len() ** 0.5,
            "n": values.len(),
        }


def _agreement(solutions: pl.DataFrame) -> Iterator[dict[str, Any]]:
    value = rank_correlation(solutions["textbooks.grade"].to_list(), solutions["textbooks.steps_done"].to_list())
    if value is not None:
        metric = "rank correlation with steps done"
        yield {"subject": _ALL_MODELS, "benchmark": BENCHMARK, "metric": metric, "value": value, "n": solutions.height}


def _examples(solutions: pl.DataFrame, count: int) -> Iterator[str]:
    """Markdown with solutions of each model from the best to the worst grade, evenly spaced."""
    for (subject,), table in solutions.group_by("subject", maintain_order=True) if count else ():
        ordered = table.sort("textbooks.grade", descending=True, maintain_order=True)
        places = [round(place * (ordered.height - 1) / max(count - 1, 1)) for place in range(min(count, ordered.height))]
        yield f"## Graded solutions of {subject}\n"
        for row in ordered[places].iter_rows(named=True):
            done = f"{row['textbooks.steps_done']:.0%} of the steps" if not row["textbooks.passed"] else "passes"
            yield f"Grade {row['textbooks.grade']} of 10; {done}:\n\n```python\n{row['text'].rstrip()}\n```\n"
            yield f"{row['textbooks.evaluation']}\n"
