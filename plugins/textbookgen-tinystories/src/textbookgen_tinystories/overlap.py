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

_COPY = 0.8  # overlap above which a story counts as a copy of a training story


class Overlap(Evaluator):
    """Measure diversity and memorization by overlap of k-grams (TinyStories, arXiv 2305.07759, section 4).

    R of two texts is the share of the first one's distinct k-grams that the second one has too. Reported for each model: the
    mean and the 95th percentile of the largest R to any training story; the share of stories for which it exceeds 0.8; the
    mean of the largest R to any other story of the model; for each of `lengths` the share of n-grams that occur anywhere in
    the training stories; and the share of stories that repeat a sequence of four words.

    The text compared is `tinystories.completion` if there is one, or else `text`. Memory holds one part of the training
    stories at a time, and what it shares with the model's stories.
    """

    name: ClassVar[str] = "overlap"

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
            rows += list(self._figures(label, words, overlaps, seen))
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

        yield row(f"R{self.k} to the nearest training story", nearest["r"].mean())
        yield row(f"R{self.k} to the nearest training story, 95th percentile", nearest["r"].quantile(0.95, "nearest"))
        yield row(f"stories over {_COPY} of one training story", (nearest["r"] > _COPY).mean())
        yield row(f"R{self.k} to the nearest story of the same model", self_overlap(words, self.k)["r"].mean())
        for length, share in seen.items():
            yield row(f"{length}-grams that occur in training", share)
        yield row("stories that repeat four words", has_repeats(words, 4).mean())


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
    return stories.select("id", words=text.str.to_lowercase().str.extract_all(r"[\p{L}\d']+"))


def ngrams(stories: pl.DataFrame, n: int, unique: bool = True) -> pl.DataFrame:
    """Return the n-grams of stories (columns of `story_words`), one per row: `id` and `gram`, the words joined by blanks."""
    words = stories.lazy().filter(pl.col("words").list.len() >= n).explode("words")
    shifted = [pl.col("words").shift(-place).over("id") for place in range(n)]
    grams = words.select("id", gram=pl.concat_str(shifted, separator=" ")).drop_nulls()
    return (grams.unique(maintain_order=True) if unique else grams).collect()


def nearest_story(stories: pl.DataFrame, training: Iterator[pl.DataFrame], k: int) -> pl.DataFrame:
    """Return for each story the largest R to a training story.

    Args:
        stories: columns of `story_words`.
        training: parts of the training stories, with the same columns.
        k: number of words of a k-gram.

    Returns:
        Columns `id`, `r` (Float64) and `nearest`, the id of that training story (null if no k-gram is shared).
    """
    own = ngrams(stories, k)
    best = pl.DataFrame(schema={"id": pl.String, "shared": pl.UInt32, "nearest": pl.String})
    for part in training:
        theirs = ngrams(part, k).rename({"id": "nearest"}).join(own.select("gram").unique(), on="gram", how="semi")
        shared = own.join(theirs, on="gram").group_by("id", "nearest").agg(shared=pl.len().cast(pl.UInt32))
        best = _most_shared(pl.concat([best, shared.select(best.columns)]))
    return _overlaps(stories, own, best)


def self_overlap(stories: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return for each story the largest R to another one of the same stories, with the columns of `nearest_story`."""
    own = ngrams(stories, k)
    others = own.rename({"id": "nearest"})
    pairs = own.join(others, on="gram").filter(pl.col("id") != pl.col("nearest"))
    return _overlaps(stories, own, _most_shared(pairs.group_by("id", "nearest").agg(shared=pl.len().cast(pl.UInt32))))


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


def _most_shared(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pair of each id that shares most k-grams; ties go to the first id of a neighbour."""
    return pairs.sort("shared", "nearest", descending=[True, False]).group_by("id", maintain_order=True).first()


def _overlaps(stories: pl.DataFrame, grams: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    """R of each story's best pair: shared k-grams divided by the story's own."""
    joined = (
        stories.select("id")
        .join(grams.group_by("id").len(), on="id", how="left", maintain_order="left")
        .join(best, on="id", how="left", maintain_order="left")
    )
    return joined.select("id", r=(pl.col("shared") / pl.col("len")).fill_null(0.0).cast(pl.Float64), nearest="nearest")
