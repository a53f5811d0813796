"""The stage `evaluate`: completions, verdicts and pass@k of models whose completions are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from textbookgen.api.artifacts import Checkpoint, Shards
from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.rows import REPORT_SCHEMA
from textbookgen.api.stage import Filter, StageInputs
from textbookgen.builtin.evaluation.generated import pass_at_k
from textbookgen.builtin.stages.evaluate import BenchmarkEval


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n), st.integers(0, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_completion(numbers: tuple[int, int, int]) -> None:
    k, samples, passed = numbers
    subsets = list(combinations(range(samples), k))
    share = sum(any(index < passed for index in subset) for subset in subsets) / len(subsets)
    assert pass_at_k(k, samples, passed) == pytest.approx(share)


class Sums:
    """A benchmark without code: three sums."""

    name = "sums"
    stop = ("\n",)

    def items(self) -> Iterator[BenchmarkItem]:
        for a in (1, 2, 3):
            yield BenchmarkItem(f"sums/{a}", f"{a}+1=", str(a + 1))


class Programs(Sums):
    """A benchmark of programs."""

    name = "programs"

    def items(self) -> Iterator[BenchmarkItem]:
        for a in (1, 2):
            yield BenchmarkItem(f"programs/{a}", "x = ", str(a), f"assert x == {a}\n", "x")


class Calculator:
    """A model that completes every other sample correctly, and counts how it was called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.closed = 0

    def complete(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        self.calls.append({"prompts": len(prompts), **options})
        right = [f" {int(prompt[0]) + 1} " if prompt[0].isdigit() else "1" for prompt in prompts]
        return [[text if n % 2 == 0 else "wrong" for n in range(options["samples"])] for text in right]

    def close(self) -> None:
        self.closed += 1


class RunsPython(Filter):
    """Executes trusted programs in this process."""

    name: ClassVar[str] = "runs-python"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        def passes(program: str) -> bool:
            try:
                exec(program, {})
            except Exception:
                return False
            return True

        keep = [passes(f"{text}\n{tests}") for text, tests in docs.select("text", "textbooks.tests").iter_rows()]
        return docs.select("id").with_columns(
            pl.Series("keep", keep, dtype=pl.Boolean), pl.Series("reason", [None if kept else "failed" for kept in keep])
        )


class Resolver:
    """Resolves the names of these tests."""

    def __init__(self, model: Calculator) -> None:
        self._model = model

    def model(self, checkpoint: Path) -> Calculator:
        return self._model

    def benchmark(self, name: str) -> Sums:
        return {"sums": Sums(), "programs": Programs()}[name]

    def filter(self, use: str) -> Filter:
        return RunsPython()


def evaluate(folder: Path, model: Calculator, **options: Any) -> pl.DataFrame:
    stage = BenchmarkEval.model_validate({"from": "small", **options})
    inputs = StageInputs({"from": {"small": Checkpoint(folder)}}, folder, Resolver(model))  # type: ignore[arg-type]
    return stage.evaluate(inputs, folder)


def test_completions_are_compared_or_executed(tmp_path: Path) -> None:
    model = Calculator()
    report = evaluate(tmp_path, model, benchmarks=["sums", "programs"], samples=4, k=[1, 2], batch=2, examples=20)
    scores = {f"{row['metric']} {row['benchmark']}": (row["value"], row["n"]) for row in report.iter_rows(named=True)}
    half, either = 0.5, 1 - 1 / 6  # of 2 of 4: one of two is correct unless both are wrong
    assert scores["pass@1 sums"] == (pytest.approx(half), 3)
    assert scores["pass@2 sums"] == (pytest.approx(either), 3)
    assert scores["pass@1 programs"] == (pytest.approx(half / 2), 2)  # only the first program wants x == 1
    assert set(report["subject"]) == {"small"}
    completions = pl.read_parquet(tmp_path / "completions.parquet")
    assert len(completions) == completions["id"].n_unique() == 5 * 4
    assert completions.filter(~pl.col("passed"))["reason"].drop_nulls().unique().to_list() == ["failed"]
    assert [call["prompts"] for call in model.calls] == [2, 1, 2]
    assert len({call["seed"] for call in model.calls[:2]}) == 2, "each batch has its own seed"
    assert {call["temperature"] for call in model.calls} == {0.2}
    assert {call["stop"] for call in model.calls} == {("\n",)}
    assert model.closed == 1
    examples = (tmp_path / "examples.md").read_text(encoding="utf-8")
    assert "programs/2, failed (failed):\n\n```python\nx = 1\n```" in examples
    assert "sums/1, passed:" in examples


def test_one_sample_is_greedy_unless_a_temperature_is_given(tmp_path: Path) -> None:
    model = Calculator()
    report = evaluate(tmp_path, model, benchmarks=["sums"], max_items=2, examples=0)
    assert report.row(0) == ("small", "sums", "pass@1", "all", 1.0, 0.0, 2)
    assert report.schema == pl.Schema(REPORT_SCHEMA)
    evaluate(tmp_path, model, benchmarks=["sums"], temperature=0.7)
    assert [call["temperature"] for call in model.calls] == [0.0, 0.7]
    assert (tmp_path / "examples.md").read_text(encoding="utf-8").startswith("## Examples from small")


@pytest.mark.parametrize("k", [[1, 5], [0], []])
def test_k_must_be_possible_with_the_samples(k: list[int]) -> None:
    with pytest.raises(ValidationError, match=r"requires k from 1 to `samples`|at least 1 item"):
        BenchmarkEval.model_validate({"from": "small", "benchmarks": ["sums"], "samples": 4, "k": k})


def test_inputs_must_be_checkpoints(tmp_path: Path) -> None:
    stage = BenchmarkEval.model_validate({"from": "packed", "benchmarks": ["sums"]})
    inputs = StageInputs({"from": {"packed": Shards(tmp_path)}}, tmp_path, Resolver(Calculator()))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="'packed' is Shards, but `from` requires Checkpoint"):
        stage.evaluate(inputs, tmp_path)
