"""Filter of near-duplicate topics: titles that say the same in another order or form, or with empty words around it."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from textbookgen import CorpusFilter
from textbookgen_textbooks.taxonomy import path_of
from textbookgen_textbooks.topic_words import title_key


class DistinctTopics(CorpusFilter):
    """Keep, of topics with nearly the same title, the first.

    Titles count as the same if they have the same words apart from order, inflection (Snowball stems), common words, and
    words that say nothing about a topic ("Introduction to …", "The basics of …"). The path above a topic does not count:
    "Supply and demand" is one topic, whether economics or business lists it. Without this, language models repeat topics
    from branch to branch, since each request sees one branch only.
    """

    name: ClassVar[str] = "distinct-topics"

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `id` and `key` of each topic."""
        keys = [title_key(path_of(row)[-1]) for row in docs.iter_rows(named=True)]
        return pl.DataFrame({"id": docs["id"], "key": pl.Series(keys, dtype=pl.String)})

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return verdicts; `detail` of a dropped topic is the id of the one that is kept."""
        first = pl.col("id").first().over("key")
        keep = pl.col("id").cum_count().over("key") == 1
        verdicts = sketches.select("id", "key").with_columns(keep=keep, first=first).collect()
        dropped = pl.when(~pl.col("keep"))
        reason, detail = dropped.then(pl.lit("nearly the same title")), dropped.then(pl.format("as {}", "first"))
        return verdicts.select("id", "keep", reason=reason, detail=detail)
