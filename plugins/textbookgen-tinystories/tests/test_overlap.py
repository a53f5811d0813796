"""Overlap: shares of k-grams agree with a count by sets, and copies are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from textbookgen_tinystories.overlap import Overlap, nearest_story, original_overlap, self_overlap, share_seen, story_words

from textbookgen.api.stage import StageInputs
from textbookgen.testing import documents, write_documents

RESOLVER: Any = None

STORIES = {
    "copy": "The cat sat on the mat and slept.",
    "half": "The cat sat on my old red chair.",
    "new": "Seven blue whales sang very loud songs.",
    "short": "Hello",
}


def table(texts: dict[str, str]) -> pl.DataFrame:
    return story_words(pl.DataFrame({"id": list(texts), "text": list(texts.values())}))


def overlap(one: str, other: str, k: int) -> float:
    """R by sets, for comparison."""
    first, second = (
        {tuple(w[n : n + k]) for n in range(len(w) - k + 1)}
        for w in (one.lower().strip(".").split(), other.lower().strip(".").split())
    )
    return len(first & second) / len(first) if first else 0.0


TRAINING = {"t1": "The cat sat on the mat and slept. It was warm.", "t2": "The dog sat on a chair.", "t3": "Hello there"}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_nearest_stories_are_those_that_sets_find(k: int):
    parts = [table({"t1": TRAINING["t1"]}), table({"t2": TRAINING["t2"], "t3": TRAINING["t3"]})]
    nearest = {row["id"]: row for row in nearest_story(table(STORIES), iter(parts), k).iter_rows(named=True)}
    for name, story in STORIES.items():
        shares = {each: overlap(story, text.replace(".", ""), k) for each, text in TRAINING.items()}
        assert nearest[name]["r"] == pytest.approx(max(shares.values()))
        assert (
            nearest[name]["nearest"] is None
            if not max(shares.values())
            else shares[nearest[name]["nearest"]] == max(shares.values())
        )
    assert nearest["copy"]["r"] == 1.0


def test_stories_are_compared_with_each_other_and_not_with_themselves():
    overlaps = dict(self_overlap(table({**STORIES, "twin": STORIES["new"]}), 2).select("id", "r").iter_rows())
    assert overlaps["new"] == overlaps["twin"] == 1.0
    assert overlaps["copy"] == pytest.approx(3 / 7)
    assert overlaps["short"] == 0.0


def test_the_share_seen_counts_every_occurrence():
    stories = table({"a": "the cat sat. the cat sat. the bird flew"})
    assert share_seen(stories, iter([table(TRAINING)]), 2) == pytest.approx(4 / 8)
    assert share_seen(table({"a": "one"}), iter([table(TRAINING)]), 2) == 0.0


def test_figures_of_a_model_that_copies(tmp_path: Path):
    training = write_documents(tmp_path / "t", documents([TRAINING["t1"]]), documents([TRAINING["t2"]]))
    stories = documents(["The cat sat on the mat and slept.", "Blue whales sing. Blue whales sing blue whales sing."])
    stories = stories.with_columns(pl.Series("tinystories.completion", ["sat on the mat and slept.", None]))
    inputs = StageInputs(
        {"from": {"m": write_documents(tmp_path / "s", stories)}, "training": {"t": training}}, tmp_path, RESOLVER
    )
    report = Overlap(inputs="m", training="t", lengths=(3,)).evaluate(inputs, tmp_path)
    figures = dict(zip(report["metric"], report["value"], strict=True))
    assert figures["R2 to the nearest training story"] == 0.5
    assert figures["R2 to the nearest training story, 95th percentile"] == 1.0
    assert figures["stories over 0.8 of one training story"] == 0.5
    assert figures["R2 to the nearest story of the same model"] == 0.0
    assert figures["3-grams that occur in training"] == pytest.approx(4 / 11)
    assert figures["stories that repeat four words"] == 0.5
    assert pl.read_parquet(tmp_path / "overlap.parquet").height == 2


def test_completions_are_compared_with_the_original_endings(tmp_path: Path):
    endings = {" on the mat and slept.": 1.0, " on the mat and ran away.": 3 / 5, " under seven chairs.": 0.0}
    stories = documents([f"The cat sat{ending}" for ending in endings]).with_columns(
        pl.Series("tinystories.completion", list(endings)),
        pl.Series("tinystories.original", [" on the mat and slept."] * 3),
    )
    overlaps = original_overlap(stories, 2)
    assert overlaps["original_r"].to_list() == pytest.approx(list(endings.values()))
    assert overlaps["original_f"].to_list() == pytest.approx([1.0, 2 * 3 / (5 + 4), 0.0])
    inputs = StageInputs(
        {"from": {"m": write_documents(tmp_path / "s", stories)}, "training": {"t": write_documents(tmp_path / "t", stories)}},
        tmp_path,
        RESOLVER,
    )
    report = Overlap(inputs="m", training="t").evaluate(inputs, tmp_path)
    figures = dict(zip(report["metric"], report["value"], strict=True))
    assert figures["F2 to the original ending"] == pytest.approx((1 + 6 / 9) / 3)
    assert figures["completions over 0.8 of the original ending"] == pytest.approx(1 / 3)
    assert original_overlap(documents(["No ending"]), 2).is_empty()


@pytest.mark.parametrize("k", [1, 2])
def test_the_f_measure_is_the_harmonic_mean_of_both_directions(k: int):
    nearest = {row["id"]: row for row in nearest_story(table(STORIES), iter([table(TRAINING)]), k).iter_rows(named=True)}
    for name, story in STORIES.items():
        pairs = [
            (overlap(story, text.replace(".", ""), k), overlap(text.replace(".", ""), story, k)) for text in TRAINING.values()
        ]
        best = max(2 * one * other / (one + other) if one + other else 0.0 for one, other in pairs)
        assert nearest[name]["f"] == pytest.approx(best)
