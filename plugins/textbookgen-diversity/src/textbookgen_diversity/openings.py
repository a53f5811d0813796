"""How documents begin, counted over the whole corpus by a hash of their first words."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from textbookgen import Table
from textbookgen.api.rows import text_of
from textbookgen_diversity.sample import WORD

_CHARACTERS_PER_WORD = 64  # of a text's beginning that is searched for its first words


def count_openings(table: Table, words: int, listed: int = 50) -> tuple[pl.Series, pl.DataFrame]:
    """Hash the opening of each document, its first `words` words.

    Returns:
        The hashes, UInt64 in the order of the corpus; and the `listed` most frequent openings as `opening`, `documents` and
        `share`.
    """
    hashes = pl.concat([pl.Series("opening", [], pl.UInt64), *(_openings(frame, words).hash(0) for frame in table.frames())])
    counts = hashes.value_counts().sort(["count", "opening"], descending=[True, False]).head(listed)
    texts = _texts_of(table, words, counts["opening"])
    return hashes, counts.select(
        opening=pl.col("opening").replace_strict(texts, default="", return_dtype=pl.String),
        documents="count",
        share=pl.col("count") / max(len(hashes), 1),
    )


def _texts_of(table: Table, words: int, hashes: pl.Series) -> dict[int, str]:
    """Return the words of these openings, by reading the corpus again until all are known."""
    texts: dict[int, str] = {}
    for frame in table.frames():
        openings = _openings(frame, words)
        rows = pl.DataFrame({"hash": openings.hash(0), "opening": openings}).filter(pl.col("hash").is_in(hashes.implode()))
        texts |= dict(rows.unique("hash").iter_rows())
        if len(texts) == len(hashes):
            break
    return texts


def _openings(frame: pl.DataFrame, words: int) -> pl.Series:
    head = text_of(frame).str.head(_CHARACTERS_PER_WORD * words).str.to_lowercase()
    return head.str.extract_all(WORD).list.head(words).list.join(" ").alias("opening")


@dataclass(frozen=True)
class OpeningShares:
    """Shares of documents.

    Attributes:
        top: share of the most frequent opening.
        top_ten: share of the ten most frequent openings.
        distinct: different openings per document.
    """

    top: float
    top_ten: float
    distinct: float

    @classmethod
    def of(cls, hashes: pl.Series) -> OpeningShares:
        """Compute the shares from the hashes of openings."""
        counts = hashes.value_counts()["count"].sort(descending=True)
        total = max(len(hashes), 1)
        return cls(int(counts.head(1).sum()) / total, int(counts.head(10).sum()) / total, len(counts) / total)
