"""The stage `evaluate`: pass@k of checkpoints on benchmarks, from greedy or sampled completions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from textbookgen.api.annotations import Filters, Input, Labels, Opens, Runtime
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.hashing import document_id
from textbookgen.api.model import Model
from textbookgen.api.rows import REPORT_SCHEMA
from textbookgen.api.stage import Evaluator, Filter, StageInputs


class BenchmarkEval(Evaluator):
    """Scores each checkpoint on each benchmark.

    pass@k is the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374), 1 - C(n - c, k) / C(n, k), averaged over the
    items, with the standard error of that mean. Items with tests pass if prompt, completion and tests run without an error;
    others if the completion equals the solution, apart from white space.
    """

    name: ClassVar[str] = "evaluate"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of benchmarks, such as exercises-heldout or humaneval@FILE"
    )
    runner: Annotated[str | dict[str, object], Filters] = Field(
        "sandbox/tests-pass", description="filter that runs programs and keeps those that pass"
    )
    samples: int = Field(1, gt=0, description="completions per item")
    temperature: float | None = Field(
        None, ge=0, description="sampling temperature, 0 for greedy; unless given, 0 for one sample and 0.2 for several"
    )
    max_tokens: int = Field(256, gt=0, description="maximum length of a completion in tokens")
    k: tuple[int, ...] = Field((1,), min_length=1, description="values of k for pass@k, none larger than `samples`")
    max_items: int | None = Field(None, gt=0, description="use only the first N items of each benchmark")
    examples: int = Field(3, ge=0, description="completions of the last model to show in the report, passed and failed each")
    batch: Annotated[int, Runtime] = Field(64, gt=0, description="prompts per batch")

    @field_validator("k")
    @classmethod
    def _has_enough_samples(cls, k: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        samples = info.data.get("samples", 1)
        if not all(0 < value <= samples for value in k):
            raise ValueError(f"pass@{max(k)} requires k from 1 to `samples`, which is {samples}")
        return k

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the scores; write every completion with its verdict to `completions.parquet`."""
        runner = inputs.resolver.filter(self.runner)
        runner.prepare(inputs)
        frames: list[pl.DataFrame] = []
        for label, checkpoint in inputs.by_label("from", Checkpoint).items():
            for name in self.benchmarks:
                with closing(inputs.resolver.model(checkpoint.path)) as model:
                    rows = self._complete(label, model, inputs.resolver.benchmark(name), inputs.seed)
                frames.append(_judge(rows, runner))
        completions = pl.concat(frames)
        write_frame(out / "completions.parquet", completions)
        write_text(out / "examples.md", "\n".join(self._render_examples(completions)))
        return pl.DataFrame(list(self._scores(completions)), schema=REPORT_SCHEMA)

    def _complete(self, label: str, model: Model, benchmark: Benchmark, seed: int) -> pl.DataFrame:
        """Return every completion of one model for one benchmark, one per row."""
        items = list(benchmark.items())[: self.max_items]
        default = 0.0 if self.samples == 1 else 0.2
        rows = []
        for start in range(0, len(items), self.batch):
            batch = items[start : start + self.batch]
            completions = model.complete(
                [item.prompt for item in batch],
                max_tokens=self.max_tokens,
                temperature=default if self.temperature is None else self.temperature,
                stop=benchmark.stop,
                samples=self.samples,
                seed=seed + start,
            )
            rows += [
                _row(label, benchmark, item, sample, text)
                for item, texts in zip(batch, completions, strict=True)
                for sample, text in enumerate(texts)
            ]
        return pl.DataFrame(rows)

    def _scores(self, completions: pl.DataFrame) -> Iterable[dict[str, object]]:
        counts = completions.group_by("subject", "benchmark", "item", maintain_order=True).agg(
            passed=pl.col("passed").sum(), samples=pl.len()
        )
        for (subject, benchmark), items in counts.group_by("subject", "benchmark", maintain_order=True):
            for k in self.k:
                estimates = [
                    pass_at_k(k, samples, passed) for samples, passed in zip(items["samples"], items["passed"], strict=True)
                ]
                mean, stderr = _mean(estimates)
                metric = f"pass@{k} {benchmark}"
                yield {"subject": subject, "metric": metric, "value": mean, "stderr": stderr, "n": len(estimates)}

    def _render_examples(self, completions: pl.DataFrame) -> Iterable[str]:
        """Yield Markdown with a few completions of the last model, passed and failed."""
        if not self.examples or not len(completions):
            return
        last = completions.filter(pl.col("subject") == completions["subject"][-1])
        yield f"## Examples from {last['subject'][0]}\n"
        for passed, heading in ((True, "passed"), (False, "failed")):
            for row in last.filter(pl.col("passed") == passed).head(self.examples).iter_rows(named=True):
                reason = f" ({row['reason']})" if row["reason"] else ""
                yield f"{row['item']}, {heading}{reason}:\n\n```python\n{row['text'].rstrip()}\n```\n"


def _row(label: str, benchmark: Benchmark, item: BenchmarkItem, sample: int, completion: str) -> dict[str, object]:
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


def _judge(rows: pl.DataFrame, runner: Filter) -> pl.DataFrame:
    """Return the completions with `passed` and `reason`: executed where there are tests, compared where there are none."""
    programs = rows.filter(pl.col("textbooks.tests") != "")
    verdicts = (
        runner.decide(programs).select("id", "keep", "reason")
        if len(programs)
        else pl.DataFrame(schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String})
    )
    joined = rows.join(verdicts, on="id", how="left", maintain_order="left")
    return joined.with_columns(passed=pl.coalesce("keep", "equal")).drop("keep", "equal")


def pass_at_k(k: int, samples: int, passed: int) -> float:
    """Return the probability that at least one of k completions passes: unbiased, and numerically stable.

    Args:
        k: completions that are tried, at most `samples`.
        samples: completions that were sampled.
        passed: how many of them passed.
    """
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / n for n in range(samples - passed + 1, samples + 1))


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error; with one completion per item that is sqrt(p (1 - p) / n)."""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values)) / len(values)
