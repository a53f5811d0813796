"""Filter of near-duplicate topics: titles that say the same in another order or form, or with empty words around it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, ClassVar

import polars as pl

from textbookgen import CorpusFilter
from textbookgen_textbooks.taxonomy import path_of
from textbookgen_textbooks.word_lists import words_by_heading


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


def title_key(title: str) -> str:
    """Return the stems of the words of a title that say what it is about, sorted; the title itself if there are none."""
    words = re.findall(r"[^\W_]+", title.lower().replace("'s", "").replace("’s", ""))
    telling = [word for word in words if word not in _empty_words()] or words
    return " ".join(sorted(set(_stemmer().stemWords(telling))))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(word for _, words in words_by_heading("empty_words") for word in words)
