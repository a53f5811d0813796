"""What the report shows of the measurement: tables in files, their largest rows as text, and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from textbookgen.api.files import write_frame, write_text
from textbookgen.api.plots import chart, write_chart

_ROWS_PER_TABLE = 10


def write_report(out: Path, metrics: pl.DataFrame, tables: Mapping[str, pl.DataFrame], by: str) -> None:
    """Write `NAME.parquet` for each table, `diversity.md`, and the plots.

    Args:
        out: the step's output folder.
        metrics: rows of a report.
        tables: `openings`, `families` and `over_time`.
        by: what makes a prompt family.
    """
    for name, table in tables.items():
        write_frame(out / f"{name}.parquet", table)
    _plot_distinct_ngrams(out, metrics)
    _plot_openings(out, tables["openings"])
    _plot_over_time(out, tables["over_time"])
    _plot_evenness(out, metrics)
    lines = [*_openings(tables["openings"]), *_families(tables["families"], by), *_over_time(tables["over_time"])]
    write_text(out / "diversity.md", "\n".join(lines) + "\n")


def _openings(table: pl.DataFrame) -> Iterator[str]:
    yield "## Most frequent openings\n\n| corpus | opening | documents | share |\n|---|---|---:|---:|"
    for row in table.group_by("subject", maintain_order=True).head(_ROWS_PER_TABLE).iter_rows(named=True):
        opening = (row["opening"] or "(no words)").replace("|", "/")
        yield f"| {row['subject']} | {opening} | {row['documents']:,} | {row['share']:.2%} |"
    yield ""


def _families(table: pl.DataFrame, by: str) -> Iterator[str]:
    yield f"## Near copies by {by}\n\n| corpus | {by} | documents | near copies | share |\n|---|---|---:|---:|---:|"
    for row in table.group_by("subject", maintain_order=True).head(_ROWS_PER_TABLE).iter_rows(named=True):
        name = (row["family"] or "(none)").replace("|", "/")
        numbers = f"{row['documents']:,} | {row['near_copies']:,} | {row['share']:.2%}"
        yield f"| {row['subject']} | {name} | {numbers} |"
    yield ""


def _over_time(table: pl.DataFrame) -> Iterator[str]:
    yield "## Over time\n\n| corpus | from document | documents | near copies | with the most frequent opening |"
    yield "|---|---:|---:|---:|---:|"
    for row in table.iter_rows(named=True):
        numbers = f"{row['first']:,} | {row['documents']:,} | {row['share']:.2%} | {row['opening_share']:.2%}"
        yield f"| {row['subject']} | {numbers} |"
    yield ""


def _plot_distinct_ngrams(out: Path, metrics: pl.DataFrame) -> None:
    names = [f"distinct-{n}" for n in range(1, 5)]
    plot = chart("Line", x_title="n", y_title="different n-grams per n-gram", range=(0, 1))
    plot.x_labels = ["1", "2", "3", "4"]
    for (subject,), rows in metrics.filter(pl.col("metric").is_in(names)).group_by("subject", maintain_order=True):
        plot.add(str(subject), rows["value"].to_list())
    write_chart(plot, out / "distinct-n.svg")


def _plot_openings(out: Path, table: pl.DataFrame) -> None:
    plot = chart("XY", x_title="rank of the opening", y_title="share of documents", show_dots=False)
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        plot.add(str(subject), list(enumerate(rows["share"], 1)))
    write_chart(plot, out / "openings.svg")


def _plot_over_time(out: Path, table: pl.DataFrame) -> None:
    plot = chart("XY", x_title="documents written", y_title="share of the span")
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        plot.add(f"{subject}: near copies", list(zip(rows["first"], rows["share"], strict=True)))
        plot.add(f"{subject}: most frequent opening", list(zip(rows["first"], rows["opening_share"], strict=True)))
    write_chart(plot, out / "over-time.svg")


def _plot_evenness(out: Path, metrics: pl.DataFrame) -> None:
    rows = metrics.filter(pl.col("metric").str.starts_with("evenness of "))
    if rows.is_empty():
        return
    names = rows["metric"].unique(maintain_order=True).to_list()
    plot = chart("HorizontalBar", x_title="entropy relative to its maximum", range=(0, 1))
    plot.x_labels = [name.removeprefix("evenness of ").replace("(entropy, ", "(") for name in names]
    for (subject,), own in rows.group_by("subject", maintain_order=True):
        values = dict(zip(own["metric"], own["value"], strict=True))
        plot.add(str(subject), [values.get(name) for name in names])
    write_chart(plot, out / "evenness.svg")
