"""Memorization and diversity: the overlap of a model's stories with training stories and with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Evaluator, Input, Labels, RunError, StageInputs
from textbookgen.api.files import write_frame
from textbookgen.api.rows import report_table
from textbookgen_tinystories.report_rows import mean_row

_COPY = 0.8  # overlap above which a story counts as a copy of a training story


class Overlap(Evaluator):
    """Measure diversity and memorization by overlap of k-grams (TinyStories, arXiv 2305.07759, section 4).

    With G the set of k-grams of a text, R(A, B) = |G(A) ∩ G(B)| / |G(A)|, as Rouge's precision (Lin 2004), and
    F(A, B) = 2 R(A, B) R(B, A) / (R(A, B) + R(B, A)). Reported for each model: the mean and the 95th percentile of the largest
    R to any training story, the mean of the largest F, and the share of stories whose R exceeds 0.8 (memorization); the mean
    of the largest R and F to any other story of the model (diversity); for each of `lengths` the share of n-grams that occur
    anywhere in the training stories; the share of stories that repeat a sequence of four words; and, for completions of cut
    stories (`tinystories/cut-stories`), the mean R and F of completion and original ending, and the share that copies it.

    The text compared is `tinystories.completion` if there is one, or else `text`. Memory holds one part of the training
    stories at a time, and what it shares with the model's stories.
    """

    name: ClassVar[str] = "overlap"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="earlier stages whose stories are measured, one per model"
    )
    training: Annotated[Labels, Input(Documents)] = Field(description="earlier stages whose stories the models were trained on")
    k: int = Field(2, gt=0, description="number of words of a k-gram for R")
    lengths: tuple[int, ...] = Field(
        (3, 5, 8), description="lengths of n-grams that are searched anywhere in the training stories"
    )
    max_stories: int = Field(200, gt=0, description="stories per model, the first ones")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; `overlap.parquet` has the largest R of each story and the nearest training story.

        Raises:
            RunError: a model has no stories.
        """
        rows: list[dict[str, Any]] = []
        nearest: list[pl.DataFrame] = []
        for label, artifact in inputs.by_label("from").items():
            stories: pl.DataFrame = self._stories(artifact)
            if stories.is_empty():
                raise RunError(f"'{label}' has no stories", place="from")
            words = story_words(stories)
            overlaps = nearest_story(words, (story_words(part) for part in inputs["training"].frames()), self.k)
            nearest.append(overlaps.with_columns(subject=pl.lit(label)))
            seen = {
                length: share_seen(words, (story_words(part) for part in inputs["training"].frames()), length)
                for length in self.lengths
            }
            original = original_overlap(stories, self.k)
            nearest[-1] = nearest[-1].join(original, on="id", how="left", maintain_order="left")
            rows += list(self._figures(label, words, overlaps, seen))
            rows += list(self._original_figures(label, original))
        write_frame(out / "overlap.parquet", pl.concat(nearest))
        return report_table(rows)

    def _stories(self, artifact: Any) -> pl.DataFrame:
        stories: pl.DataFrame = artifact.scan().head(self.max_stories).collect()
        return stories

    def _figures(
        self, label: str, words: pl.DataFrame, nearest: pl.DataFrame, seen: Mapping[int, float]
    ) -> Iterator[dict[str, Any]]:
        def row(metric: str, value: Any) -> dict[str, Any]:
            return {"subject": label, "metric": metric, "value": float(value), "stderr": None, "n": nearest.height}

        own = self_overlap(words, self.k)
        yield row(f"R{self.k} to the nearest training story", nearest["r"].mean())
        yield row(f"R{self.k} to the nearest training story, 95th percentile", nearest["r"].quantile(0.95, "nearest"))
        yield row(f"F{self.k} to the nearest training story", nearest["f"].mean())
        yield row(f"stories over {_COPY} of one training story", (nearest["r"] > _COPY).mean())
        yield row(f"R{self.k} to the nearest story of the same model", own["r"].mean())
        yield row(f"F{self.k} to the nearest story of the same model", own["f"].mean())
        for length, share in seen.items():
            yield row(f"{length}-grams that occur in training", share)
        yield row("stories that repeat four words", has_repeats(words, 4).mean())

    def _original_figures(self, label: str, original: pl.DataFrame) -> Iterator[dict[str, Any]]:
        """Rows about completions and the original endings; none without cut stories."""
        if original.is_empty():
            return
        yield mean_row(label, f"R{self.k} to the original ending", original["original_r"].to_list())
        yield mean_row(label, f"F{self.k} to the original ending", original["original_f"].to_list())
        copies = (original["original_r"] > _COPY).cast(pl.Float64)
        yield mean_row(label, f"completions over {_COPY} of the original ending", copies.to_list())


def story_words(stories: pl.DataFrame) -> pl.DataFrame:
    """Return the words of each story, lower-cased.

    Args:
        stories: rows with `id`, `text` and possibly `tinystories.completion`, which takes precedence where it is not null.

    Returns:
        Columns `id` and `words` (`List(String)`).
    """
    text = pl.col("text")
    if "tinystories.completion" in stories.columns:
        text = pl.coalesce("tinystories.completion", "text")
    return stories.select("id", words=_words(text))


def _words(text: pl.Expr) -> pl.Expr:
    return text.str.to_lowercase().str.extract_all(r"[\p{L}\d']+")


def original_overlap(stories: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return R and F of each completion and the original ending of its story.

    Args:
        stories: rows with `id`, `text`, and possibly `tinystories.completion` and `tinystories.original`.
        k: number of words of a k-gram.

    Returns:
        Columns `id`, `original_r` and `original_f` (Float64), for the rows that have both endings.
    """
    schema = pl.Schema({"id": pl.String, "original_r": pl.Float64, "original_f": pl.Float64})
    if not {"tinystories.completion", "tinystories.original"} <= set(stories.columns):
        return pl.DataFrame(schema=schema)
    both = stories.drop_nulls(["tinystories.completion", "tinystories.original"])
    own = ngrams(story_words(both), k)
    theirs = ngrams(both.select("id", words=_words(pl.col("tinystories.original"))), k)
    counts = [table.group_by("id").agg(pl.len().alias(name)) for name, table in (("own", own), ("theirs", theirs))]
    shared = own.join(theirs, on=["id", "gram"]).group_by("id").agg(shared=pl.len())
    joined = both.select("id")
    for table in (*counts, shared):
        joined = joined.join(table, on="id", how="left", maintain_order="left")
    return joined.select("id", original_r=_precision(), original_f=_f_measure()).cast(schema)


def _precision() -> pl.Expr:
    """R: shared k-grams divided by the story's own; 0 without any."""
    return (pl.col("shared") / pl.col("own")).fill_null(0.0).cast(pl.Float64)


def _f_measure() -> pl.Expr:
    """F: the harmonic mean of R in both directions."""
    return (2 * pl.col("shared") / (pl.col("own") + pl.col("theirs"))).fill_null(0.0).cast(pl.Float64)


def ngrams(stories: pl.DataFrame, n: int, unique: bool = True) -> pl.DataFrame:
    """Return the n-grams of stories (columns of `story_words`), one per row: `id` and `gram`, the words joined by blanks."""
    words = stories.lazy().filter(pl.col("words").list.len() >= n).explode("words")
    shifted = [pl.col("words").shift(-place).over("id") for place in range(n)]
    grams = words.select("id", gram=pl.concat_str(shifted, separator=" ")).drop_nulls()
    return (grams.unique(maintain_order=True) if unique else grams).collect()


def nearest_story(stories: pl.DataFrame, training: Iterator[pl.DataFrame], k: int) -> pl.DataFrame:
    """Return for each story the largest R and the largest F to a training story.

    Args:
        stories: columns of `story_words`.
        training: parts of the training stories, with the same columns.
        k: number of words of a k-gram.

    Returns:
        Columns `id`, `r` and `f` (Float64) and `nearest`, the id of the training story with the largest R (null if no k-gram is
        shared).
    """
    own = ngrams(stories, k)
    wanted = own.select("gram").unique()
    best = pl.DataFrame(schema=_BEST)
    for part in training:
        grams = ngrams(part, k).rename({"id": "nearest"})
        theirs = grams.join(wanted, on="gram", how="semi")
        sizes = grams.group_by("nearest").agg(theirs=pl.len())
        best = _nearest(pl.concat([best, _pairs(own, theirs, sizes)]))
    return _with_all(stories, best)


def self_overlap(stories: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return for each story the largest R and F to another one of the same stories, with the columns of `nearest_story`."""
    own = ngrams(stories, k)
    others = own.rename({"id": "nearest"})
    pairs = _pairs(own, others, others.group_by("nearest").agg(theirs=pl.len()))
    return _with_all(stories, _nearest(pairs.filter(pl.col("id") != pl.col("nearest"))))


def share_seen(stories: pl.DataFrame, training: Iterator[pl.DataFrame], n: int) -> float:
    """Return the share of all n-grams of stories, repeats counted, that occur in any training story; 0 if there are none."""
    own = ngrams(stories, n, unique=False)
    unseen = own
    for part in training:
        unseen = unseen.join(ngrams(part, n).select("gram").unique(), on="gram", how="anti")
    return 1 - unseen.height / own.height if own.height else 0.0


def has_repeats(stories: pl.DataFrame, n: int) -> pl.Series:
    """Return for each story whether an n-gram occurs in it more than once (Boolean)."""
    repeated = ngrams(stories, n, unique=False).filter(pl.struct("id", "gram").is_duplicated())["id"].unique()
    return stories["id"].is_in(repeated.implode())


_BEST = pl.Schema({"id": pl.String, "nearest": pl.String, "r": pl.Float64, "f": pl.Float64})


def _pairs(own: pl.DataFrame, theirs: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    """R and F of each pair that shares a k-gram; `sizes` has the number of k-grams of each neighbour."""
    counts = own.group_by("id").agg(own=pl.len())
    shared = own.join(theirs, on="gram").group_by("id", "nearest").agg(shared=pl.len())
    joined = shared.join(counts, on="id").join(sizes, on="nearest")
    return joined.select("id", "nearest", r=_precision(), f=_f_measure()).cast(_BEST)


def _nearest(pairs: pl.DataFrame) -> pl.DataFrame:
    """The neighbour of each id with the largest R, the first id of equal ones, and the largest F to any neighbour."""
    ordered = pairs.sort("r", "nearest", descending=[True, False])
    return ordered.group_by("id", maintain_order=True).agg(pl.col("nearest", "r").first(), pl.col("f").max())


def _with_all(stories: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    """A row for every story, with zeros for those that share nothing."""
    joined = stories.select("id").join(best, on="id", how="left", maintain_order="left")
    return joined.select("id", pl.col("r", "f").fill_null(0.0), "nearest")
