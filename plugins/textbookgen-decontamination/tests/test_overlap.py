"""`decontamination/overlap`: a benchmark is split by similarity to the training data, and both parts are scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError
from textbookgen_decontamination.stages.overlap import TrainTestOverlap

from textbookgen.api.artifacts import Artifact, Chats, Documents, Part, Report
from textbookgen.api.benchmark import BenchmarkItem, ChoiceItem
from textbookgen.api.errors import RunError
from textbookgen.api.rows import ITEM_SCORE_SCHEMA, ITEM_SCORES
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
SHORT = BenchmarkItem("toy/short", 'def double(x):\n    """Twice x."""\n', "    return 2 * x\n")
QUESTION = BenchmarkItem(
    "gsm/0", "Question: A farmer has twelve red hens and buys seven more at the market. How many hens are there?\nAnswer:", "19"
)
WINDOW = ChoiceItem("hella/0", "She opens the window of the old house and", ("sings.", "lets the cold air in until noon."), 1)
PASSAGE = "It began so. A farmer has twelve red hens and buys seven more at the market. How many hens are there? Count them."


class Items:
    stop = ()

    def __init__(self, *items: BenchmarkItem | ChoiceItem, name: str = "toy") -> None:
        self.name, self._items = name, items

    def items(self) -> Sequence[BenchmarkItem | ChoiceItem]:
        return self._items


class Resolver:
    def __init__(self, benchmark: Items) -> None:
        self._benchmark = benchmark

    def benchmark(self, name: str) -> Items:
        return self._benchmark


def overlap(
    folder: Path, benchmark: Items, values: dict[str, float], training: Artifact, **options: object
) -> tuple[pl.DataFrame, dict[str, tuple[float, str | None]]]:
    """Return the figures, and the similarity and the nearest document of each item."""
    report, out = folder / "report", folder / "out"
    report.mkdir(parents=True)
    out.mkdir()
    rows = [
        {"subject": "m", "benchmark": benchmark.name, "item": item, "metric": "acc", "value": value}
        for item, value in values.items()
    ]
    pl.DataFrame(rows, schema=ITEM_SCORE_SCHEMA).write_parquet(report / ITEM_SCORES)
    stage = TrainTestOverlap.model_validate({"from": "scores", "training": "corpus", "benchmarks": [benchmark.name], **options})
    inputs = {"from": {"scores": Report(report)}, "training": {"corpus": training}}
    figures = stage.evaluate(StageInputs(inputs, folder, Resolver(benchmark)), out)  # type: ignore[arg-type]
    nearest = pl.read_parquet(out / "similarity.parquet")
    return figures, {row["item"]: (row["similarity"], row["document"]) for row in nearest.to_dicts()}


def documents(folder: Path, *texts: str) -> Documents:
    folder.mkdir(exist_ok=True)
    pl.DataFrame({"id": [f"t{n}" for n in range(len(texts))], "text": texts}).write_parquet(folder / "training.parquet")
    return Documents((Part(folder / "training.parquet"),))


def by_subset(figures: pl.DataFrame) -> dict[str, tuple[float | None, int]]:
    return {row["subset"]: (row["value"], row["n"]) for row in figures.to_dicts()}


def test_an_item_with_a_renamed_solution_in_training_is_similar(tmp_path: Path) -> None:
    training = documents(tmp_path, "Not related.", RENAMED)
    figures, nearest = overlap(tmp_path, Items(ROTATE, COUNT), {"toy/0": 1.0, "toy/9": 0.5}, training)
    assert by_subset(figures) == {"dissimilar": (0.5, 1), "similar": (1.0, 1)}
    assert set(figures["metric"]) == {"acc"} and set(figures["benchmark"]) == {"toy"}
    assert nearest == {"toy/0": (1.0, "t1"), "toy/9": (0.0, None)}
    items = pl.read_parquet(tmp_path / "out" / ITEM_SCORES)
    assert items.select("item", "subset", "value").rows() == [("toy/0", "similar", 1.0), ("toy/9", "dissimilar", 0.5)]


def test_each_threshold_splits_the_items_and_an_equal_similarity_is_similar(tmp_path: Path) -> None:
    training = documents(tmp_path, RENAMED.replace("return [*b, *a]", "return [*b, *a, *a]"))
    scores = {"toy/0": 1.0, "toy/9": 0.5}
    _, nearest = overlap(tmp_path / "once", Items(ROTATE, COUNT), scores, training)
    similarity = nearest["toy/0"][0]
    assert 0.9 < similarity < 1
    figures, _ = overlap(tmp_path / "twice", Items(ROTATE, COUNT), scores, training, thresholds=[1.0, similarity])
    rows = pl.read_parquet(tmp_path / "twice" / "out" / "thresholds.parquet").sort("threshold", "subset")
    assert rows.select("threshold", "subset", "value", "n").rows() == [
        (0.8, "dissimilar", 0.5, 1),
        (0.8, "similar", 1.0, 1),
        (similarity, "dissimilar", 0.5, 1),
        (similarity, "similar", 1.0, 1),
        (1.0, "dissimilar", 0.75, 2),
        (1.0, "similar", None, 0),
    ]
    assert by_subset(figures) == {"dissimilar": (0.5, 1), "similar": (1.0, 1)}, "the report is always at 0.8"


def test_without_similar_items_the_subset_is_empty_and_says_so(tmp_path: Path) -> None:
    figures, _ = overlap(tmp_path, Items(ROTATE), {"toy/0": 1.0}, documents(tmp_path, "x = 1"))
    assert by_subset(figures) == {"dissimilar": (1.0, 1), "similar": (None, 0)}


@pytest.mark.parametrize(
    ("text", "similarity"),
    [
        ("def twice(n):\n    '''Doubles.'''\n    return 2 * n\n", 1.0),
        ("Use this:\n\n```python\nimport math\n\ndef other(): ...\n\ndef twice(n):\n    return 2 * n\n```\n", 1.0),
        ("def triple(n):\n    return 3 * n\n", 0.0),
        ("def twice(n):\n    return n * 2\n", 0.0),
    ],
)
def test_functions_too_short_for_trees_match_only_the_same_function(tmp_path: Path, text: str, similarity: float) -> None:
    _, nearest = overlap(tmp_path, Items(SHORT), {"toy/short": 1.0}, documents(tmp_path, text))
    assert nearest["toy/short"][0] == similarity


def test_a_common_helper_does_not_make_an_item_similar(tmp_path: Path) -> None:
    helper = "def turn(c):\n    return '1' if c == '0' else '0'\n\n"
    item = BenchmarkItem("toy/two", helper + ROTATE.prompt, ROTATE.solution)
    other = "def sign(word):\n    return 'no' if word == 'yes' else 'yes'\n"
    _, nearest = overlap(tmp_path / "h", Items(item), {"toy/two": 1.0}, documents(tmp_path / "a", other))
    assert 0 < nearest["toy/two"][0] < 0.3
    _, nearest = overlap(tmp_path / "m", Items(item), {"toy/two": 1.0}, documents(tmp_path / "b", other, RENAMED))
    assert 0.7 < nearest["toy/two"][0] < 1 and nearest["toy/two"][1] == "t1"
    _, nearest = overlap(tmp_path / "b", Items(item), {"toy/two": 1.0}, documents(tmp_path / "c", other + RENAMED))
    assert nearest["toy/two"] == (1.0, "t0")


def test_text_is_compared_by_the_share_of_its_ngrams_in_one_document(tmp_path: Path) -> None:
    half = "A farmer has twelve red hens and buys seven more at"
    rest = "at the market. How many hens are there? Nobody knew."
    item = Items(QUESTION)
    _, whole = overlap(tmp_path / "whole", item, {"gsm/0": 1.0}, documents(tmp_path / "a", half, PASSAGE, rest))
    assert whole["gsm/0"][1] == "t1" and 0.8 <= whole["gsm/0"][0] < 1
    _, parts = overlap(tmp_path / "parts", item, {"gsm/0": 1.0}, documents(tmp_path / "b", half, rest))
    assert parts["gsm/0"] == (pytest.approx(4 / 13), "t0"), "4 of the 13 8-grams of the prompt; two documents do not add up"


def test_a_right_choice_counts_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    right, wrong = "Every day she lets the cold air in until noon. Then lunch.", "She sings. " * 5
    _, nearest = overlap(tmp_path / "r", Items(WINDOW), {"hella/0": 1.0}, documents(tmp_path / "a", right))
    assert nearest["hella/0"][0] < 0.5, "seven words of the choice are too few to count alone"
    longer = ChoiceItem("hella/0", WINDOW.prompt, ("sings.", "lets the cold air in until noon on Sunday."), 1)
    text = right.replace("noon", "noon on Sunday")
    _, nearest = overlap(tmp_path / "l", Items(longer), {"hella/0": 1.0}, documents(tmp_path / "b", text))
    assert nearest["hella/0"] == (1.0, "t0")
    _, nearest = overlap(tmp_path / "w", Items(longer), {"hella/0": 1.0}, documents(tmp_path / "c", wrong))
    assert nearest["hella/0"] == (0.0, None)


def test_conversations_are_training_data_too(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": f"So:\n\n```python\n{RENAMED}```\n"}]
    pl.DataFrame({"id": ["c0"], "messages": [messages]}).write_parquet(tmp_path / "chats.parquet")
    chats = Chats((Part(tmp_path / "chats.parquet"),))
    _, nearest = overlap(tmp_path, Items(ROTATE), {"toy/0": 1.0}, chats)
    assert nearest == {"toy/0": (1.0, "c0")}


def test_measures_can_be_chosen(tmp_path: Path) -> None:
    training = documents(tmp_path, RENAMED)
    _, nearest = overlap(tmp_path, Items(ROTATE), {"toy/0": 1.0}, training, measures=["n-grams"])
    assert nearest["toy/0"][0] < 0.5, "no words are shared once names are changed"


def test_the_section_shows_every_threshold_and_the_narrowest_decision(tmp_path: Path) -> None:
    overlap(tmp_path, Items(ROTATE, COUNT), {"toy/0": 1.0, "toy/9": 0.5}, documents(tmp_path, "Not related.", RENAMED))
    section = (tmp_path / "out" / "overlap.md").read_text(encoding="utf-8")
    assert "| similarity | items without | m, dissimilar | items with | m, similar |" in section
    assert "| 0.5 | 1 | 0.500 ± 0.000 | 1 | 1.000 ± 0.000 |" in section
    assert "at 1.00 by syntax tree: item `toy/0`\nand training document `t1`" in section
    assert "def rotate_left(values, places):" in section and "def spin(items, n):" in section


def test_a_report_without_scores_of_items_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    stage = TrainTestOverlap.model_validate({"from": "scores", "training": "corpus", "benchmarks": ["toy"]})
    inputs = {"from": {"scores": Report(tmp_path / "report")}, "training": {"corpus": documents(tmp_path, "x = 1")}}
    with pytest.raises(RunError, match="no scores of single items"):
        stage.evaluate(StageInputs(inputs, tmp_path, Resolver(Items(ROTATE))), tmp_path)  # type: ignore[arg-type]


def test_benchmarks_must_be_those_that_were_scored(tmp_path: Path) -> None:
    training = documents(tmp_path, "x = 1")
    with pytest.raises(RunError, match="none of the benchmarks was scored") as caught:
        stage = TrainTestOverlap.model_validate({"from": "scores", "training": "corpus", "benchmarks": ["other"]})
        overlap(tmp_path / "a", Items(ROTATE), {"toy/0": 1.0}, training)
        inputs = {"from": {"scores": Report(tmp_path / "a" / "report")}, "training": {"corpus": training}}
        stage.evaluate(StageInputs(inputs, tmp_path, Resolver(Items(ROTATE, name="other"))), tmp_path)  # type: ignore[arg-type]
    assert caught.value.hint == "the stages of `from` scored toy"
    with pytest.raises(RunError, match="benchmark `toy` has no item `toy/7`, which was scored"):
        overlap(tmp_path / "b", Items(ROTATE), {"toy/7": 1.0}, training)


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_thresholds_are_similarities(threshold: float) -> None:
    options = {"from": "s", "training": "c", "benchmarks": ["b"], "thresholds": [threshold]}
    with pytest.raises(ValidationError, match="a threshold is a similarity"):
        TrainTestOverlap.model_validate(options)
