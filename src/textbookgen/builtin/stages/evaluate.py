"""Scores checkpoints by benchmarks: greedy and sampled completions, run or compared, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Filters, Input, Labels, Runtime
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.hashing import document_id
from textbookgen.api.stage import Evaluator, Filter, StageInputs


class Benchmarks(Evaluator):
    """Scores each checkpoint by each benchmark.

    pass@k is the unbiased estimate of Chen et al. 2021 (arXiv 2107.03374): 1 - C(n - c, k) / C(n, k), a mean over
    items, with the standard error of that mean. Items with tests are judged by running prompt, completion and tests;
    others by comparing the completion with the solution, white space aside.
    """

    name: ClassVar[str] = "evaluate"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    benchmarks: tuple[str, ...] = Field(
        min_length=1, description="names of benchmarks, such as exercises-heldout or humaneval@FILE"
    )
    runner: Annotated[str | dict[str, object], Filters] = Field(
        "sandbox/tests-pass", description="the judge that runs programs; it keeps those that pass"
    )
    samples: int = Field(1, gt=0, description="completions of each item; 1 is greedy unless a temperature is given")
    temperature: float | None = Field(None, ge=0, description="0 is greedy; 0.2 unless given when there are several samples")
    max_tokens: int = Field(256, gt=0, description="tokens of a completion at most")
    k: tuple[int, ...] = Field((1,), description="the k of pass@k; none may be larger than `samples`")
    max_items: int | None = Field(None, gt=0, description="only so many items of each benchmark, the first ones")
    examples: int = Field(3, ge=0, description="completions of the last model that the report shows")
    batch: Annotated[int, Runtime] = Field(64, gt=0, description="prompts that are completed at once")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The scores; `completions.parquet` keeps every completion with its verdict."""
        if max(self.k) > self.samples:
            raise RunError(f"pass@{max(self.k)} needs at least {max(self.k)} samples", hint="raise `samples`")
        judge = inputs.resolver.filter(self.runner)
        judge.prepare(inputs)
        asked: list[pl.DataFrame] = []
        for label, checkpoint in inputs.by_label("from").items():
            assert isinstance(checkpoint, Checkpoint)
            for name in self.benchmarks:
                asked.append(self._completed(label, checkpoint, inputs.resolver.benchmark(name), inputs, judge))
        completions = pl.concat(asked)
        completions.write_parquet(out / "completions.parquet")
        (out / "examples.md").write_text("\n".join(self._shown(completions)), encoding="utf-8")
        return pl.DataFrame(list(self._scores(completions)))

    def _completed(
        self, label: str, checkpoint: Checkpoint, benchmark: Benchmark, inputs: StageInputs, judge: Filter
    ) -> pl.DataFrame:
        """Every completion of one model for one benchmark, judged."""
        items = list(benchmark.items())[: self.max_items]
        heat = self.temperature if self.temperature is not None else (0.0 if self.samples == 1 else 0.2)
        rows = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            for at in range(0, len(items), self.batch):
                some = items[at : at + self.batch]
                texts = model.complete(
                    [item.prompt for item in some],
                    max_tokens=self.max_tokens,
                    temperature=heat,
                    stop=benchmark.stop,
                    samples=self.samples,
                    seed=inputs.seed + at,
                )
                rows += [
                    self._row(label, benchmark, item, at, text)
                    for item, each in zip(some, texts, strict=True)
                    for at, text in enumerate(each)
                ]
        return _judged(pl.DataFrame(rows), judge)

    def _row(self, label: str, benchmark: Benchmark, item: BenchmarkItem, sample: int, completion: str) -> dict[str, object]:
        return {
            "id": document_id(label, benchmark.name, item.id, sample),
            "subject": label,
            "benchmark": benchmark.name,
            "item": item.id,
            "prompt": item.prompt,
            "completion": completion,
            "text": item.prompt + completion,
            "textbooks.tests": item.tests,
            "equal": " ".join(completion.split()) == " ".join(item.solution.split()),
        }

    def _scores(self, completions: pl.DataFrame) -> Iterable[dict[str, object]]:
        grouped = completions.group_by("subject", "benchmark", "item", maintain_order=True).agg(
            right=pl.col("passed").sum(), tried=pl.len()
        )
        for (subject, benchmark), items in grouped.group_by("subject", "benchmark", maintain_order=True):
            for k in self.k:
                each = [pass_at(k, tried, right) for tried, right in zip(items["tried"], items["right"], strict=True)]
                value, stderr = _mean(each)
                yield {"subject": subject, "metric": f"pass@{k} {benchmark}", "value": value, "stderr": stderr, "n": len(each)}

    def _shown(self, completions: pl.DataFrame) -> Iterable[str]:
        """A few completions of the last model, some that passed and some that did not."""
        if not self.examples or not len(completions):
            return
        last = completions.filter(pl.col("subject") == completions["subject"][-1])
        yield f"## What {last['subject'][0]} writes\n"
        for passed, heading in ((True, "passes its tests"), (False, "does not pass")):
            for row in last.filter(pl.col("passed") == passed).head(self.examples).iter_rows(named=True):
                reason = f" ({row['reason']})" if row["reason"] else ""
                yield f"{row['item']}, {heading}{reason}:\n\n```python\n{row['text'].rstrip()}\n```\n"


def _judged(rows: pl.DataFrame, judge: Filter) -> pl.DataFrame:
    """The completions with `passed` and `reason`: run where there are tests, compared where there are none."""
    run = rows.filter(pl.col("textbooks.tests") != "")
    verdicts = (
        judge.decide(run).select("id", "keep", "reason")
        if len(run)
        else pl.DataFrame(schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String})
    )
    joined = rows.join(verdicts, on="id", how="left", maintain_order="left")
    return joined.with_columns(passed=pl.coalesce("keep", "equal")).drop("keep", "equal")


def pass_at(k: int, tried: int, right: int) -> float:
    """The chance that one of k completions is right, from `right` of `tried`: unbiased, and stable for large numbers."""
    if tried - right < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / each for each in range(tried - right + 1, tried + 1))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; for one completion an item that is sqrt(p (1 - p) / n)."""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values)) / len(values)
