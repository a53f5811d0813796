"""The section of a report on the overlap of test and training data: scores at every threshold, and the nearest matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

_MAX_LINES = 14  # of a match that is shown


def render_overlap(
    thresholds: pl.DataFrame, nearest: pl.DataFrame, similar: float, left_out: Sequence[str] = ()
) -> Iterator[str]:
    """Yield Markdown: for each benchmark a table of its first metric, and the match that decides most narrowly.

    Args:
        thresholds: figures with `subject`, `benchmark`, `metric`, `subset`, `value`, `stderr`, `n` and `threshold`.
        nearest: the nearest document of each item (`similarity.SIMILARITY_SCHEMA`).
        similar: the threshold of the report's subsets.
        left_out: benchmarks that were scored and not compared.
    """
    yield "## Overlap of test and training data\n"
    for benchmark in thresholds["benchmark"].unique(maintain_order=True):
        figures = thresholds.filter(benchmark=benchmark)
        metric = str(figures["metric"][0])
        yield from _table(benchmark, metric, figures.filter(metric=metric))
        yield from _narrowest_match(nearest.filter(benchmark=benchmark), similar)
    if left_out:
        yield f"Not compared with the training data: {', '.join(left_out)}.\n"


def _table(benchmark: str, metric: str, figures: pl.DataFrame) -> Iterator[str]:
    subjects = figures["subject"].unique(maintain_order=True).to_list()
    dissimilar, same = (" | ".join(f"{subject}, {name}" for subject in subjects) for name in ("dissimilar", "similar"))
    yield f"{metric} on {benchmark}, on items without and with a near match in the training data:\n"
    yield f"| similarity | items without | {dissimilar} | items with | {same} |"
    yield f"|---:|---:|{'---:|' * len(subjects)}---:|{'---:|' * len(subjects)}"
    for threshold in figures["threshold"].unique(maintain_order=True):
        rows = figures.filter(threshold=threshold)
        cells = []
        for subset in ("dissimilar", "similar"):
            of_subset = rows.filter(subset=subset)
            cells += [f"{max(of_subset['n'].to_list()):,}", *map(_cell, of_subset["value"], of_subset["stderr"])]
        yield f"| {threshold:g} | {' | '.join(cells)} |"
    yield ""


def _cell(value: float | None, stderr: float | None) -> str:
    return "" if value is None else f"{value:.3f} ± {stderr or 0:.3f}"


def _narrowest_match(nearest: pl.DataFrame, similar: float) -> Iterator[str]:
    """Yield the match whose similarity is closest to the threshold, so that a reader can judge where it lies."""
    matches = nearest.filter(pl.col("similarity") > 0).sort((pl.col("similarity") - similar).abs(), maintain_order=True)
    if matches.is_empty():
        return
    row = matches.row(0, named=True)
    yield f"Closest to the threshold of {similar:g}, at {row['similarity']:.2f} by {row['measure']}: item `{row['item']}`"
    yield f"and training document `{row['document']}`.\n"
    yield from (_shown(row["item_text"]), _shown(row["text"]))


def _shown(text: str) -> str:
    lines = text.strip().splitlines()
    more = ["…"] if len(lines) > _MAX_LINES else []
    return "\n".join(["~~~", *lines[:_MAX_LINES], *more, "~~~", ""])
