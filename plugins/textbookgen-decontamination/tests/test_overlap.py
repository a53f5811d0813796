"""`decontamination/overlap`: a benchmark is split by similarity to the training data, and both parts are scored."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from textbookgen_decontamination.stages.overlap import TrainTestOverlap

from textbookgen.api.artifacts import Documents, Part, Report
from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs

ROTATE = BenchmarkItem(
    "toy/0",
    "def rotate_left(values, places):\n",
    "    if not values:\n        return []\n    cut = places % len(values)\n    head, tail = values[:cut], values[cut:]\n"
    "    return [*tail, *head]\n",
)
RENAMED = """
def spin(items, n):
    if not items:
        return []
    k = n % len(items)
    a, b = items[:k], items[k:]
    return [*b, *a]
"""
COUNT = BenchmarkItem(
    "toy/9",
    "def count(words):\n",
    "    found = {}\n    for word in words:\n        found[word] = found.get(word, 0) + 1\n    return found\n",
)


class Both:
    name = "toy"
    stop = ()

    def items(self) -> list[BenchmarkItem]:
        return [ROTATE, COUNT]


class Resolver:
    def benchmark(self, name: str) -> Both:
        return Both()


def evaluated(
    folder: Path, *texts: str, scored: bool = True, rates: tuple[float, ...] = (0.95,)
) -> tuple[dict[str, float], pl.DataFrame]:
    training, report, out = folder / "training.parquet", folder / "report", folder / "out"
    report.mkdir(parents=True)
    out.mkdir()
    pl.DataFrame({"id": [f"t{n}" for n in range(len(texts))], "text": texts}).write_parquet(training)
    if scored:
        pl.DataFrame(
            {
                "subject": ["m"] * 4,
                "benchmark": ["toy"] * 4,
                "item": ["toy/0", "toy/0", "toy/9", "toy/9"],
                "passed": [True, True, True, False],
            }
        ).write_parquet(report / "completions.parquet")
    stage = TrainTestOverlap(inputs=("scores",), training=("corpus",), benchmarks=("toy",), rates=rates)
    inputs = {"from": {"scores": Report(report)}, "training": {"corpus": Documents((Part(training),))}}
    figures = stage.evaluate(StageInputs(inputs, folder, Resolver()), out)  # type: ignore[arg-type]
    assert set(figures["metric"]) == {"pass@1"} and set(figures["benchmark"]) == {"toy"}
    return dict(zip(figures["subset"], figures["value"], strict=True)), pl.read_parquet(out / "similar.parquet")


def test_an_item_with_a_renamed_solution_in_training_is_similar(tmp_path: Path) -> None:
    scores, nearest = evaluated(tmp_path, "Not related.", RENAMED)
    assert scores == {"similar at 0.95": 1.0, "dissimilar at 0.95": 0.5}
    assert nearest.sort("item").select("item", "rate", "document").rows() == [("toy/0", 1.0, "t1"), ("toy/9", 0.0, None)]


def test_each_rate_splits_the_items_and_an_equal_rate_is_similar(tmp_path: Path) -> None:
    changed = RENAMED.replace("return [*b, *a]", "return [*b, *a, *a]")
    _, nearest = evaluated(tmp_path / "once", changed, rates=(0.5,))
    rate = nearest.filter(item="toy/0")["rate"][0]
    assert 0.5 < rate < 1
    scores, _ = evaluated(tmp_path / "twice", changed, rates=(1.0, rate))
    names = [f"dissimilar at {1.0:g}", f"similar at {rate:g}", f"dissimilar at {rate:g}"]
    assert scores == dict(zip(names, [0.75, 1.0, 0.5], strict=True))


def test_without_similar_items_there_is_one_score(tmp_path: Path) -> None:
    assert evaluated(tmp_path, "x = 1")[0] == {"dissimilar at 0.95": 0.75}


def test_a_report_without_completions_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no completions"):
        evaluated(tmp_path, "x = 1", scored=False)
