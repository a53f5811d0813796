"""How documents begin: counted over the whole corpus by a hash of their first words."""

from __future__ import annotations

from typing import Any

import polars as pl
from textbookgen_dedup.text.words import text_of

from textbookgen import Table
from textbookgen_diversity.words import WORD


def openings(table: Table, words: int, shown: int = 50) -> tuple[pl.Series, pl.DataFrame]:
    """A hash of each document's opening, in order; and the commonest openings with `opening`, `documents` and `share`."""
    hashes = pl.concat([pl.Series("opening", [], pl.UInt64), *(_first(frame, words).hash(0) for frame in table.frames())])
    counts = hashes.value_counts().sort(["count", "opening"], descending=[True, False]).head(shown)
    names = _named(table, words, counts["opening"])
    return hashes, counts.select(
        opening=pl.col("opening").replace_strict(names, default="", return_dtype=pl.String),
        documents="count",
        share=pl.col("count") / max(len(hashes), 1),
    )


def _named(table: Table, words: int, wanted: pl.Series) -> dict[int, str]:
    """The words of these openings, found on a second walk that ends when all are."""
    names: dict[int, str] = {}
    for frame in table.frames():
        first = _first(frame, words)
        result = pl.DataFrame({"hash": first.hash(0), "first": first}).filter(pl.col("hash").is_in(wanted.implode()))
        names |= dict(result.unique("hash").iter_rows())
        if len(names) == len(wanted):
            break
    return names


def _first(frame: pl.DataFrame, words: int) -> pl.Series:
    head = text_of(frame).str.head(64 * words).str.to_lowercase()
    return head.str.extract_all(WORD).list.head(words).list.join(" ").alias("opening")


def shares(hashes: pl.Series) -> dict[str, Any]:
    """The shares of the commonest opening and of the ten commonest, and how many different ones a document there are."""
    counts = hashes.value_counts()["count"].sort(descending=True)
    total = max(len(hashes), 1)
    return {
        "first": int(counts.head(1).sum()) / total,
        "ten": int(counts.head(10).sum()) / total,
        "different": len(counts) / total,
    }
