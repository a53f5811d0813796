"""`decontamination/overlap`: scores on benchmark items with and without a near match in the training data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from textbookgen import Chats, Documents, Evaluator, Input, Labels, Pairs, Report, RunError, StageInputs
from textbookgen.api.annotations import Opens
from textbookgen.api.artifacts import Table
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.rows import ITEM_SCORES, report_table, text_of
from textbookgen_decontamination.ngrams import read_problems
from textbookgen_decontamination.overlap_section import render_overlap
from textbookgen_decontamination.similarity import Measure, NgramSimilarity, TreeSimilarity, find_nearest

#: The similarity from which an item belongs to the subset `similar` of the report.
SIMILAR = 0.8


class TrainTestOverlap(Evaluator):
    """Splits benchmarks into items with and without a near match in the training data, and reports scores on both.

    phi-1's answer to the question whether it had seen its test set (Gunasekar et al. 2023, section 5.2 and table 3). A model
    that learned rather than memorized does as well on items without a near match. Code is compared by syntax trees, phi-1's
    match rate, and all items by n-grams: the share of an item's word 8-grams that one training document contains (after PaLM,
    Chowdhery et al. 2022, section 8). The larger counts.

    The report has every score of the stages in `from` on the items `dissimilar` to the training data and on those `similar` to
    it, at a similarity of 0.8. `thresholds.parquet` has the same at every threshold, `similarity.parquet` the nearest training
    document of each item.
    """

    name: ClassVar[str] = "overlap"
    version: ClassVar[int] = 3

    inputs: Annotated[Labels, Input(Report)] = Field(alias="from", description="stages that scored models on benchmarks")
    training: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        description="stages whose rows the models were trained on"
    )
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of the benchmarks, as in the stages of `from`"
    )
    measures: tuple[Literal["syntax-trees", "n-grams"], ...] = Field(
        ("syntax-trees", "n-grams"),
        min_length=1,
        description="how items are compared with training documents; the larger counts",
    )
    thresholds: tuple[float, ...] = Field(
        (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95),
        min_length=1,
        description="similarities from which an item counts as similar; phi-1's are 0.8 to 0.95, and 0.8 is always one",
    )
    min_nodes: int = Field(
        8, ge=1, description="syntax nodes from which functions are compared; shorter ones match only if they are the same"
    )
    n: int = Field(8, ge=2, description="words in an n-gram")
    text: str = Field("text", description="the column of the training data to compare")

    @field_validator("thresholds")
    @classmethod
    def _is_share(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < threshold <= 1 for threshold in thresholds):
            raise ValueError("a threshold is a similarity: above 0, and at most 1")
        return tuple(sorted({*thresholds, SIMILAR}))

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the scores on both subsets.

        Raises:
            RunError: a report has no scores of items; none of the benchmarks was scored; a scored item is not in its benchmark.
        """
        scores = pl.concat([_read_scores(report) for report in inputs.by_label("from", Report).values()])
        problems = read_problems([inputs.resolver.benchmark(name) for name in self.benchmarks])
        scored = set(scores["benchmark"])
        problems = [problem for problem in problems if problem.benchmark in scored]
        if not problems:
            raise RunError(
                "none of the benchmarks was scored",
                place="benchmarks",
                hint=f"the stages of `from` scored {', '.join(sorted(scored))}",
            )
        nearest = find_nearest(problems, self._measures(problems), self._training(inputs))
        write_frame(out / "similarity.parquet", nearest)
        items = _with_similarity(scores, nearest)
        write_frame(out / ITEM_SCORES, _split(items, SIMILAR).drop("similarity"))
        thresholds = pl.concat(
            [_figures(_split(items, threshold)).with_columns(threshold=pl.lit(threshold)) for threshold in self.thresholds]
        )
        write_frame(out / "thresholds.parquet", thresholds)
        left_out = sorted(scored - set(nearest["benchmark"]))
        write_text(out / "overlap.md", "\n".join(render_overlap(thresholds, nearest, SIMILAR, left_out)))
        return report_table(thresholds.filter(threshold=SIMILAR).drop("threshold").to_dicts())

    def _measures(self, problems: Sequence[Any]) -> list[Measure]:
        measures: list[Measure] = []
        if "syntax-trees" in self.measures:
            measures.append(TreeSimilarity(problems, min(self.thresholds), self.min_nodes))
        if "n-grams" in self.measures:
            measures.append(NgramSimilarity(problems, self.n))
        return measures

    def _training(self, inputs: StageInputs) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the ids and texts of the training data, part by part."""
        for table in inputs.by_label("training", Table).values():
            for docs in table.frames():
                yield docs["id"].to_list(), text_of(docs, self.text).to_list()


def _read_scores(report: Report) -> pl.DataFrame:
    file = report.path / ITEM_SCORES
    if not file.exists():
        raise RunError(
            f"the report in `{report.path}` has no scores of single items",
            place="from",
            hint='name stages with `use = "evaluate"`',
        )
    return pl.read_parquet(file)


def _with_similarity(scores: pl.DataFrame, nearest: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of items of the compared benchmarks, with the similarity of each item."""
    key = ["benchmark", "item"]
    compared = scores.filter(pl.col("benchmark").is_in(nearest["benchmark"].unique().implode()))
    items = compared.join(nearest.select(*key, "similarity"), on=key, how="left", maintain_order="left")
    unknown = items.filter(pl.col("similarity").is_null())
    if len(unknown):
        raise RunError(
            f"benchmark `{unknown['benchmark'][0]}` has no item `{unknown['item'][0]}`, which was scored",
            place="benchmarks",
            hint="name the benchmarks as in the stages of `from`, with the same files",
        )
    return items


def _split(items: pl.DataFrame, threshold: float) -> pl.DataFrame:
    """Return the items with the subset that they belong to at this threshold."""
    similar = pl.col("similarity") >= threshold
    return items.with_columns(subset=pl.when(similar).then(pl.lit("similar")).otherwise(pl.lit("dissimilar")))


def _figures(items: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each subject, benchmark, metric and both subsets; a subset without items has no value, and `n` 0."""
    key = ["subject", "benchmark", "metric"]
    means = items.group_by(*key, "subset").agg(
        pl.col("value").mean(), stderr=pl.col("value").std(ddof=0) / pl.len().sqrt(), n=pl.len().cast(pl.Int64)
    )
    subsets = pl.DataFrame({"subset": ["dissimilar", "similar"]})
    every = items.select(key).unique(maintain_order=True).join(subsets, how="cross")
    return every.join(means, on=[*key, "subset"], how="left", maintain_order="left").with_columns(pl.col("n").fill_null(0))
