"""Answers that models write: completions of items, executed or compared, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.hashing import document_id
from textbookgen.api.model import Model
from textbookgen.api.stage import Filter
from textbookgen.builtin.evaluation.figures import item_scores


@dataclass(frozen=True)
class Generation:
    """How a model answers: completions per item, sampling temperature, length in tokens, seed, and prompts per batch."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int
    batch: int


def complete_items(
    subject: str, model: Model, benchmark: str, items: Sequence[BenchmarkItem], stop: Sequence[str], generation: Generation
) -> pl.DataFrame:
    """Return every completion of some items, one per row, with whether it equals the solution apart from white space."""
    rows = []
    for start in range(0, len(items), generation.batch):
        batch = items[start : start + generation.batch]
        completions = model.complete(
            [item.prefix + item.prompt for item in batch],
            max_tokens=generation.max_tokens,
            temperature=generation.temperature,
            stop=stop,
            samples=generation.samples,
            seed=generation.seed + start,
        )
        rows += [
            _row(subject, benchmark, item, sample, text)
            for item, texts in zip(batch, completions, strict=True)
            for sample, text in enumerate(texts)
        ]
    return pl.DataFrame(rows)


def _row(subject: str, benchmark: str, item: BenchmarkItem, sample: int, completion: str) -> dict[str, object]:
    return {
        "id": document_id(subject, benchmark, item.id, sample),
        "subject": subject,
        "benchmark": benchmark,
        "item": item.id,
        "prefix": item.prefix,
        "prompt": item.prompt,
        "completion": completion,
        "text": item.prompt + completion,
        "textbooks.tests": item.tests,
        "equal": " ".join(completion.split()) == " ".join(item.solution.split()),
    }


def judge(completions: pl.DataFrame, runner: Filter) -> pl.DataFrame:
    """Return the completions with `passed` and `reason`: executed where there are tests, compared where there are none."""
    programs = completions.filter(pl.col("textbooks.tests") != "")
    verdicts = (
        runner.decide(programs).select("id", "keep", "reason")
        if len(programs)
        else pl.DataFrame(schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String})
    )
    joined = completions.join(verdicts, on="id", how="left", maintain_order="left")
    return joined.with_columns(passed=pl.coalesce("keep", "equal")).drop("keep", "equal")


def pass_rates(completions: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    """Return pass@k of each item, for each k (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`)."""
    counts = completions.group_by("subject", "benchmark", "item", maintain_order=True).agg(
        passed=pl.col("passed").sum(), samples=pl.len()
    )
    pairs = list(counts.select("samples", "passed").iter_rows())
    rates = [pl.Series(f"pass@{k}", [pass_at_k(k, *pair) for pair in pairs], dtype=pl.Float64) for k in ks]
    return item_scores(counts.with_columns(rates), [rate.name for rate in rates])


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


def render_completions(completions: pl.DataFrame, count: int) -> Iterator[str]:
    """Yield Markdown with this many completions of the last model that passed, and as many that failed."""
    if not count or not len(completions):
        return
    last = completions.filter(pl.col("subject") == completions["subject"][-1])
    yield f"## Examples from {last['subject'][0]}\n"
    for passed, heading in ((True, "passed"), (False, "failed")):
        for row in last.filter(pl.col("passed") == passed).head(count).iter_rows(named=True):
            reason = f" ({row['reason']})" if row["reason"] else ""
            yield f"{row['item']}, {heading}{reason}:\n\n```python\n{row['text'].rstrip()}\n```\n"
