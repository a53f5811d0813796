"""Whether models copy: how much of what they write stands in one training story, in each other's, or anywhere in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Evaluator, Input, Labels, RunError, StageInputs, Table


class Overlap(Evaluator):
    """Measures diversity and memorisation by overlap of k-grams (TinyStories, arXiv 2305.07759, section 4).

    Of two texts, R is the share of the first one's different k-grams that the second has too. Reported for each model:
    the mean and the 95th percentile of the largest R to any training story, the share of stories for which it is over
    0.8, the mean of the largest R to any other story of the model, for each of `lengths` the share of n-grams that occur
    anywhere in training, and the share of stories that say some four words twice.

    What is looked at is `tinystories.completion`, where there is one, or else the text. Memory holds one part of the
    training stories and what it shares with the stories looked at.
    """

    name: ClassVar[str] = "overlap"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="stages above whose stories are looked at, one a model"
    )
    training: Annotated[Labels, Input(Documents)] = Field(description="stages above whose stories the models were trained on")
    k: int = Field(2, gt=0, description="words of a k-gram for R")
    lengths: tuple[int, ...] = Field((3, 5, 8), description="lengths of n-grams that are looked for anywhere in training")
    most_stories: int = Field(200, gt=0, description="stories of each model at most, the first ones")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures; `overlap.parquet` has the largest R of each story and the training story it is to."""
        rows: list[dict[str, Any]] = []
        nearest: list[pl.DataFrame] = []
        for label, flow in inputs.by_label("from").items():
            assert isinstance(flow, Table)
            stories = flow.scan().head(self.most_stories).collect()
            if stories.is_empty():
                raise RunError(f"'{label}' has no stories", place="from")
            texts = spoken(stories)
            result = nearest_story(texts, (spoken(part) for part in inputs["training"].frames()), self.k)
            nearest.append(result.with_columns(subject=pl.lit(label)))
            known = {n: seen_anywhere(texts, (spoken(part) for part in inputs["training"].frames()), n) for n in self.lengths}
            rows += list(self._figures(label, result, self_overlap(texts, self.k), known, texts))
        pl.concat(nearest).write_parquet(out / "overlap.parquet")
        return pl.DataFrame(rows, schema=_FIGURES)

    def _figures(
        self, label: str, nearest: pl.DataFrame, own: pl.DataFrame, known: Mapping[int, float], texts: pl.DataFrame
    ) -> Iterator[dict[str, Any]]:
        def row(metric: str, value: float) -> dict[str, Any]:
            return {"subject": label, "metric": metric, "value": value, "n": nearest.height}

        yield row(f"R{self.k} to the nearest training story", _number(nearest["r"].mean()))
        yield row(f"R{self.k} to the nearest training story, 95th percentile", _number(nearest["r"].quantile(0.95, "nearest")))
        yield row("stories over 0.8 of one training story", _number((nearest["r"] > 0.8).mean()))
        yield row(f"R{self.k} to the nearest story of its own", _number(own["r"].mean()))
        for n, share in known.items():
            yield row(f"{n}-grams that occur in training", share)
        yield row("stories that repeat four words", _number(_repeats(texts, 4).mean()))


def spoken(stories: pl.DataFrame) -> pl.DataFrame:
    """The words of each story: `id` and `words`, lower-cased."""
    text = pl.col("text")
    if "tinystories.completion" in stories.columns:
        text = pl.coalesce("tinystories.completion", "text")
    return stories.select("id", words=text.str.to_lowercase().str.extract_all(r"[\p{L}\d']+"))


def grams(stories: pl.DataFrame, n: int, unique: bool = True) -> pl.DataFrame:
    """The n-grams of each story, one a row: `id` and `gram` (the words, joined)."""
    words = stories.lazy().filter(pl.col("words").list.len() >= n).explode("words")
    later = [pl.col("words").shift(-place).over("id") for place in range(n)]
    joined = words.select("id", gram=pl.concat_str(later, separator=" ")).drop_nulls()
    return (joined.unique(maintain_order=True) if unique else joined).collect()


def nearest_story(stories: pl.DataFrame, training: Iterator[pl.DataFrame], k: int) -> pl.DataFrame:
    """For each story (as `spoken`) the largest R to a training story: `id`, `r`, and `nearest`, its id (null for none)."""
    wanted = grams(stories, k)
    best = pl.DataFrame(schema={"id": pl.String, "shared": pl.UInt32, "nearest": pl.String})
    for part in training:
        theirs = grams(part, k).rename({"id": "nearest"}).join(wanted.select("gram").unique(), on="gram", how="semi")
        shared = wanted.join(theirs, on="gram").group_by("id", "nearest").agg(shared=pl.len().cast(pl.UInt32))
        best = _largest(pl.concat([best, shared.select(best.columns)]))
    return _shares(stories, wanted, best)


def self_overlap(stories: pl.DataFrame, k: int) -> pl.DataFrame:
    """For each story the largest R to another of the same stories."""
    own = grams(stories, k)
    others = own.rename({"id": "nearest"})
    pairs = own.join(others, on="gram").filter(pl.col("id") != pl.col("nearest"))
    return _shares(stories, own, _largest(pairs.group_by("id", "nearest").agg(shared=pl.len().cast(pl.UInt32))))


def seen_anywhere(stories: pl.DataFrame, training: Iterator[pl.DataFrame], n: int) -> float:
    """The share of all stories' n-grams (repeats counted) that occur in any training story; 0 if there are none."""
    wanted = grams(stories, n, unique=False)
    left, total = wanted, wanted.height
    for part in training:
        left = left.join(grams(part, n).select("gram").unique(), on="gram", how="anti")
    return 1 - left.height / total if total else 0.0


def _largest(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pair of each id that shares most; of equals the first by id."""
    return pairs.sort("shared", "nearest", descending=[True, False]).group_by("id", maintain_order=True).first()


def _shares(stories: pl.DataFrame, wanted: pl.DataFrame, best: pl.DataFrame) -> pl.DataFrame:
    counted = wanted.group_by("id").len()
    joined = (
        stories.select("id")
        .join(counted, on="id", how="left", maintain_order="left")
        .join(best, on="id", how="left", maintain_order="left")
    )
    return joined.select("id", r=(pl.col("shared") / pl.col("len")).fill_null(0.0).cast(pl.Float64), nearest="nearest")


def _repeats(stories: pl.DataFrame, n: int) -> pl.Series:
    """Whether each story has an n-gram twice."""
    twice = grams(stories, n, unique=False).filter(pl.struct("id", "gram").is_duplicated())["id"].unique()
    return stories["id"].is_in(twice.implode())


def _number(value: Any) -> float:
    return float(value)


_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64}
