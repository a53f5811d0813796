"""Rows of documents and reports: the text of a row whatever its form, and the columns of a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from textbookgen.api.errors import RunError

#: The subset of a figure that is not about a part of the items.
ALL_ITEMS = "all"

#: Columns of an Evaluator's table and their types. `subject` is usually a label; `benchmark` is null where a figure is not
#: about one; `metric` names what was measured, such as `pass@1`, `acc` or `bits_per_byte`, without the benchmark; `subset`
#: says which of the items were counted (`all`); `stderr` and `n` are null where they do not apply.
REPORT_SCHEMA: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "benchmark": pl.String(),
    "metric": pl.String(),
    "subset": pl.String(),
    "value": pl.Float64(),
    "stderr": pl.Float64(),
    "n": pl.Int64(),
}

#: Columns of the scores of single items, which evaluations of benchmarks write to the file `ITEM_SCORES`: one row per subject,
#: benchmark, item and metric. A figure of the report is the mean of the values of its items.
ITEM_SCORE_SCHEMA: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "benchmark": pl.String(),
    "item": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
}

#: The file with the scores of single items in an evaluation's folder.
ITEM_SCORES = "item_scores.parquet"

#: Columns that hold lists of messages, in the order their contents are read.
MESSAGE_COLUMNS = ("messages", "prompt", "chosen", "rejected")

#: What separates the contents of messages where a conversation is read as one text.
SEPARATOR = "\n\n"


def report_table(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the table of an Evaluator from rows that may lack columns: `benchmark` and others become null, `subset` `all`."""
    return complete_report(pl.DataFrame([dict(row) for row in rows], schema=REPORT_SCHEMA))


def complete_report(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of figures with all columns of `REPORT_SCHEMA`, in its order, before its own columns."""
    missing = [pl.lit(None, kind).alias(name) for name, kind in REPORT_SCHEMA.items() if name not in table.columns]
    return table.with_columns(missing).select(
        pl.col("subset").fill_null(ALL_ITEMS) if name == "subset" else pl.col(name)
        for name in [*REPORT_SCHEMA, *(name for name in table.columns if name not in REPORT_SCHEMA)]
    )


def text_of(rows: pl.DataFrame, column: str = "text") -> pl.Series:
    """Return the text of each row: `column` where there is one, or else the contents of all its messages.

    Args:
        rows: documents, chats or pairs.
        column: the column to read, if the rows have it.

    Returns:
        A String series without nulls, one value per row.

    Raises:
        RunError: the rows have neither the column nor messages.
    """
    if column in rows.columns:
        return rows[column].fill_null("")
    names = [name for name in MESSAGE_COLUMNS if rows.schema.get(name) == pl.List]
    if not names:
        raise RunError(f"there is no column `{column}` to read", hint=f"the columns are {', '.join(rows.columns)}")
    contents = [contents_of(name).list.join(SEPARATOR) for name in names]
    return rows.select(pl.concat_str(contents, separator=SEPARATOR, ignore_nulls=True)).to_series()


def contents_of(column: str) -> pl.Expr:
    """Return an expression for the contents of a column of messages, `List(String)` per row."""
    return pl.col(column).list.eval(pl.element().struct.field("content"))


def opening_text(rows: pl.DataFrame) -> list[str]:
    """Return what a reader sees first of each row: its text, or the last message of the conversation or chosen reply."""
    if "text" in rows.columns:
        return rows["text"].fill_null("").to_list()
    column = "messages" if "messages" in rows.columns else "chosen"
    return rows[column].list.last().struct.field("content").fill_null("").to_list()


#: Ending of the columns in which generators record what a document shows.
SHOWN = ".shown"


def shown_values(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return what documents show, as their generators checked it, as opposed to what was drawn for them.

    A column `PLUGIN.shown` holds a JSON object: for fields of the draw that can be checked, the value that the document shows,
    or null if it does not show the drawn one.

    Args:
        rows: documents, with any number of such columns.

    Returns:
        For each row, the fields of all these columns; empty where there are none.
    """
    shown: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    for name in rows.columns:
        if name.endswith(SHOWN):
            for values, text in zip(shown, rows[name], strict=True):
                values |= json.loads(text) if text else {}
    return shown
