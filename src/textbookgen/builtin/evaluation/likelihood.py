"""Choices by their likelihood: accuracy, length-normalized accuracy, and bits per byte of the right answer.

Accuracies and perplexity are those of lm-evaluation-harness for tasks of the types `multiple_choice` and `loglikelihood`;
bits per byte of the right answer moves before accuracies do (Gu et al. 2024, OLMES, arXiv 2406.08446).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.model import Model, Score
from textbookgen.builtin.evaluation.figures import figures, item_scores, mean_and_error

#: Metrics of choices, in the order of reports.
METRICS = ("acc", "acc_norm", "bits_per_byte")


def score_choices(
    subject: str, model: Model, benchmark: str, items: Sequence[ChoiceItem], batch: int, document_start: bool
) -> pl.DataFrame:
    """Return one row per item: its choices with their log probabilities, what was chosen, and a column per metric.

    Args:
        subject: label of the model.
        model: scores the choices.
        benchmark: name of the benchmark.
        items: the items.
        batch: items per request.
        document_start: see `textbookgen.api.model.Model.score`.
    """
    rows = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        pairs = [pair for item in part for pair in _pairs(item)]
        scores = iter(model.score(pairs, document_start=document_start))
        rows += [_row(subject, benchmark, item, [next(scores) for _ in item.choices]) for item in part]
    table = pl.DataFrame(rows, schema_overrides=_SCHEMA)
    if all(len({len(choice) for choice in item.choices}) == 1 for item in items):  # the same as without normalization
        table = table.with_columns(acc_norm=pl.lit(None, pl.Float64))
    return table


def _pairs(item: ChoiceItem) -> list[tuple[str, str]]:
    """Return what precedes each choice, and the choice with its separator."""
    prompts = item.prompts or (item.prompt,) * len(item.choices)
    return [(item.prefix + before, item.separator + choice) for before, choice in zip(prompts, item.choices, strict=True)]


_SCHEMA: dict[str, Any] = {"logprobs": pl.List(pl.Float64), "greedy": pl.List(pl.Boolean), "choices": pl.List(pl.String)}


def _row(subject: str, benchmark: str, item: ChoiceItem, scores: Sequence[Score]) -> dict[str, object]:
    logprobs = [score.logprob for score in scores]
    by_length = [logprob / max(len(choice), 1) for logprob, choice in zip(logprobs, item.choices, strict=True)]
    chosen, chosen_norm = _argmax(logprobs), _argmax(by_length)
    return {
        "subject": subject,
        "benchmark": benchmark,
        "item": item.id,
        "category": item.category,
        "prefix": item.prefix,
        "prompt": item.prompt,
        "choices": list(item.choices),
        "answer": item.answer,
        "logprobs": logprobs,
        "greedy": [score.greedy for score in scores],
        "chosen": chosen,
        "chosen_norm": chosen_norm,
        "acc": float(chosen == item.answer if len(scores) > 1 else scores[0].greedy),
        "acc_norm": float(chosen_norm == item.answer),
        "bits_per_byte": -logprobs[item.answer] / math.log(2) / max(len(item.solution.encode()), 1),
    }


def _argmax(values: Sequence[float]) -> int:
    """Return the index of the largest value, the first one of equals."""
    return max(range(len(values)), key=values.__getitem__)


def choice_scores(choices: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of items (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`) from rows of `score_choices`."""
    return item_scores(choices, METRICS)


def further_figures(choices: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield figures of one model and benchmark that are not means over all items.

    These are the metrics of each category, as the benchmark `mmlu/stem`, and the perplexity of answers without alternatives,
    exp of the mean negative log probability, with a standard error by the delta method.
    """
    for (category,), rows in choices.filter(pl.col("category") != "").group_by("category", maintain_order=True):
        name = pl.concat_str(pl.col("benchmark"), pl.lit(f"/{category}"))
        yield from figures(choice_scores(rows.with_columns(benchmark=name)))
    if (choices["choices"].list.len() == 1).all():
        mean, stderr = mean_and_error(choices["logprobs"].list.first().to_list())
        perplexity = math.exp(-mean)
        yield {
            "subject": choices["subject"][0],
            "benchmark": choices["benchmark"][0],
            "metric": "perplexity",
            "value": perplexity,
            "stderr": perplexity * stderr,
            "n": len(choices),
        }
