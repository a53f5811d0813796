"""`quality/forest` learns, keeps the best documents, and is the same every time and in every process."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from textbookgen_quality.forest import ForestFilter

from textbookgen.api.artifacts import Documents, Part
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs

GOOD = [
    "explain",
    "example",
    "because",
    "first",
    "then",
    "therefore",
    "returns",
    "list",
    "function",
    "step",
    "student",
    "learn",
]
BAD = ["config", "true", "false", "null", "0x00", "begin", "end", "import", "path", "http", "assert", "tmp"]


def documents(count: int, seed: int) -> pl.DataFrame:
    """Texts that lean to good or bad words, with a teacher's noisy score."""
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        lean = rng.random()
        text = " ".join(rng.choice(GOOD if rng.random() < lean else BAD) for _ in range(60))
        rows.append({"id": f"{seed}-{n}", "text": text, "quality.score": float(round(5 * lean)), "lean": lean})
    return pl.DataFrame(rows)


def inputs_with(folder: Path, labels: pl.DataFrame) -> StageInputs:
    folder.mkdir(parents=True, exist_ok=True)
    labels.write_parquet(folder / "labels.parquet")
    inputs = {"labels": {"labels": Documents((Part(folder / "labels.parquet"),))}}
    return StageInputs(inputs, folder / "step", None)  # type: ignore[arg-type]


def forest(**options: object) -> ForestFilter:
    return ForestFilter(inputs=("web",), labels=("labels",), trees=30, components=16, **options)


def test_the_best_are_kept_and_the_metrics_are_written(tmp_path: Path) -> None:
    stage, corpus = forest(keep_share=0.25), documents(200, seed=2)
    stage.prepare(inputs_with(tmp_path, documents(300, seed=1)))
    verdicts = stage.decide(stage.sketch(corpus).lazy(), corpus.lazy())
    assert verdicts["id"].to_list() == corpus["id"].to_list()
    assert verdicts["keep"].sum() == 50
    lean = corpus.join(verdicts, on="id").group_by("keep").agg(pl.col("lean").mean())
    assert lean.filter("keep")["lean"][0] > 0.75 > 0.5 > lean.filter(~pl.col("keep"))["lean"][0]
    assert verdicts.filter("keep")["score"].min() >= verdicts.filter(~pl.col("keep"))["score"].max()
    assert set(verdicts.filter(~pl.col("keep"))["reason"]) == {"below the kept share"}
    card = json.loads((tmp_path / "step" / "forest.json").read_text())
    assert card["labels"] == 300 and card["held_out"] == 60 and 0.85 < card["roc_auc"] <= 1
    roc = pl.read_parquet(tmp_path / "step" / "roc.parquet")
    assert roc["true_positive_rate"].is_sorted() and roc["false_positive_rate"].is_sorted()


def test_another_process_reads_the_forest_and_another_run_grows_the_same(tmp_path: Path) -> None:
    labels, corpus = documents(120, seed=1), documents(50, seed=2)
    first, second, again = forest(), forest(), forest(n_jobs=2)
    first.prepare(inputs_with(tmp_path / "a", labels))
    written = (tmp_path / "a" / "step" / "forest.npz").stat().st_mtime_ns
    second.prepare(inputs_with(tmp_path / "a", labels))
    again.prepare(inputs_with(tmp_path / "b", labels))
    assert (tmp_path / "a" / "step" / "forest.npz").stat().st_mtime_ns == written
    assert first.sketch(corpus).equals(second.sketch(corpus))
    assert first.sketch(corpus).equals(again.sketch(corpus))
    assert first.sketch(corpus).equals(pl.concat([first.sketch(corpus[:20]), first.sketch(corpus[20:])]))


def test_a_threshold_keeps_by_probability(tmp_path: Path) -> None:
    stage, corpus = forest(threshold=0.6), documents(80, seed=3)
    stage.prepare(inputs_with(tmp_path, documents(120, seed=1)))
    verdicts = stage.decide(stage.sketch(corpus).lazy(), corpus.lazy())
    assert verdicts["keep"].to_list() == [score >= 0.6 for score in verdicts["score"]]
    assert set(verdicts.filter(~pl.col("keep"))["reason"]) == {"below the threshold"}


def test_labels_of_one_class_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least 10 labels and both classes"):
        forest(good_score=0).prepare(inputs_with(tmp_path, documents(50, seed=1)))


def test_a_share_and_a_threshold_exclude_each_other() -> None:
    assert [each.place for each in forest(threshold=0.5, keep_share=0.2).check()] == ["keep_share"]
    assert not list(forest(threshold=0.5).check())
