"""What the report shows of the measurement: tables in files, the largest rows as text, and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from textbookgen.api.plots import chart, write_chart

_SHOWN = 10  # rows of a table in the report


def write(out: Path, figures: pl.DataFrame, tables: Mapping[str, pl.DataFrame], by: str) -> None:
    """Writes `NAME.parquet` for each table, `diversity.md`, and plots."""
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet")
    _plot_distinct(out, figures)
    _plot_openings(out, tables["openings"])
    _plot_time(out, tables["over_time"])
    _plot_evenness(out, figures)
    text = [*_openings(tables["openings"]), *_families(tables["families"], by), *_time(tables["over_time"])]
    (out / "diversity.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def _openings(table: pl.DataFrame) -> Iterator[str]:
    yield "## How documents begin\n\n| of | opening | documents | share |\n|---|---|---:|---:|"
    for row in table.group_by("subject", maintain_order=True).head(_SHOWN).iter_rows(named=True):
        opening = (row["opening"] or "(no word)").replace("|", "/")
        yield f"| {row['subject']} | {opening} | {row['documents']:,} | {row['share']:.2%} |"
    yield ""


def _families(table: pl.DataFrame, by: str) -> Iterator[str]:
    yield f"## Near copies by {by}\n\n| of | {by} | documents | near copies | share |\n|---|---|---:|---:|---:|"
    for row in table.group_by("subject", maintain_order=True).head(_SHOWN).iter_rows(named=True):
        name = (row["family"] or "(none)").replace("|", "/")
        numbers = f"{row['documents']:,} | {row['near_copies']:,} | {row['share']:.2%}"
        yield f"| {row['subject']} | {name} | {numbers} |"
    yield ""


def _time(table: pl.DataFrame) -> Iterator[str]:
    yield "## Over time\n\n| of | from document | documents | near copies | begin with the commonest opening |"
    yield "|---|---:|---:|---:|---:|"
    for row in table.iter_rows(named=True):
        numbers = f"{row['first']:,} | {row['documents']:,} | {row['share']:.2%} | {row['opening_share']:.2%}"
        yield f"| {row['subject']} | {numbers} |"
    yield ""


def _plot_distinct(out: Path, figures: pl.DataFrame) -> None:
    names = [f"distinct-{n}" for n in range(1, 5)]
    drawn = chart("Line", x_title="n", y_title="different n-grams for each", range=(0, 1))
    drawn.x_labels = ["1", "2", "3", "4"]
    for (subject,), rows in figures.filter(pl.col("metric").is_in(names)).group_by("subject", maintain_order=True):
        drawn.add(str(subject), rows["value"].to_list())
    write_chart(drawn, out / "distinct-n.svg")


def _plot_openings(out: Path, table: pl.DataFrame) -> None:
    drawn = chart("XY", x_title="rank of the opening", y_title="share of documents", show_dots=False)
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        drawn.add(str(subject), list(enumerate(rows["share"], 1)))
    write_chart(drawn, out / "openings.svg")


def _plot_time(out: Path, table: pl.DataFrame) -> None:
    drawn = chart("XY", x_title="documents written", y_title="share of a span")
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        drawn.add(f"{subject}: near copies", list(zip(rows["first"], rows["share"], strict=True)))
        drawn.add(f"{subject}: commonest opening", list(zip(rows["first"], rows["opening_share"], strict=True)))
    write_chart(drawn, out / "over-time.svg")


def _plot_evenness(out: Path, figures: pl.DataFrame) -> None:
    rows = figures.filter(pl.col("metric").str.starts_with("evenness of "))
    if rows.is_empty():
        return
    names = rows["metric"].unique(maintain_order=True).to_list()
    drawn = chart("HorizontalBar", x_title="entropy, as a share of the most there can be", range=(0, 1))
    drawn.x_labels = [name.removeprefix("evenness of ").removesuffix(" (entropy)") for name in names]
    for (subject,), own in rows.group_by("subject", maintain_order=True):
        values = dict(zip(own["metric"], own["value"], strict=True))
        drawn.add(str(subject), [values.get(name) for name in names])
    write_chart(drawn, out / "evenness.svg")
