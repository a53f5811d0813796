"""Choices by their likelihood: accuracy, length-normalized accuracy, and bits per byte of the right answer.

The figures are those of lm-evaluation-harness (Gao et al.) for tasks of the types `multiple_choice` and `loglikelihood`; bits
per byte of the right answer is that of OLMES (Gu et al., arXiv 2406.08446).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.model import Model
from textbookgen.builtin.evaluation.figures import item_scores

#: Metrics of choices, in the order of reports.
METRICS = ("acc", "acc_norm", "bits_per_byte")


def score_choices(subject: str, model: Model, benchmark: str, items: Sequence[ChoiceItem], batch: int) -> pl.DataFrame:
    """Return one row per item: its choices with their log probabilities, what was chosen, and a column per metric.

    Args:
        subject: label of the model.
        model: scores the choices.
        benchmark: name of the benchmark.
        items: the items.
        batch: items per request.
    """
    rows = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        scores = iter(model.score([pair for item in part for pair in _pairs(item)]))
        for item in part:
            of_choices = [next(scores) for _ in item.choices]
            rows.append(_row(subject, benchmark, item, [s.logprob for s in of_choices], [s.greedy for s in of_choices]))
    return pl.DataFrame(rows, infer_schema_length=None)


def _pairs(item: ChoiceItem) -> list[tuple[str, str]]:
    prompts = item.prompts or (item.prompt,) * len(item.choices)
    return [(item.prefix + before, item.separator + choice) for before, choice in zip(prompts, item.choices, strict=True)]


def _row(subject: str, benchmark: str, item: ChoiceItem, logprobs: list[float], greedy: list[bool]) -> dict[str, object]:
    chosen = _argmax(logprobs)
    by_length = _argmax([logprob / max(len(choice), 1) for logprob, choice in zip(logprobs, item.choices, strict=True)])
    one_choice = len(item.choices) == 1
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
        "greedy": greedy,
        "chosen": chosen,
        "chosen_norm": by_length,
        "acc": float(greedy[0] if one_choice else chosen == item.answer),
        "acc_norm": None if one_choice else float(by_length == item.answer),
        "bits_per_byte": -logprobs[item.answer] / math.log(2) / max(len(item.solution.encode()), 1),
    }


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def choice_scores(choices: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of items (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`) from rows of `score_choices`."""
    return item_scores(choices, METRICS)
