"""How many items a benchmark has and how long its questions are, to estimate requests before a run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.stage import Estimate
from textbookgen.builtin.evaluation.asked_choices import ask_choice
from textbookgen.builtin.evaluation.item_questions import ask_item

#: Items of published test sets, for those that are not on this machine: counting them would download them.
PUBLISHED_SIZES = {
    "humaneval": 164,
    "mbpp": 500,
    "gsm8k": 1_319,
    "arc_easy": 2_376,
    "arc_challenge": 1_172,
    "hellaswag": 10_042,
    "piqa": 1_838,
    "winogrande": 1_267,
    "openbookqa": 500,
    "boolq": 3_270,
    "social_iqa": 1_954,
    "commonsense_qa": 1_221,
    "mmlu": 14_042,
}
_UNKNOWN_SIZE = 1_000
_UNKNOWN_TOKENS = 150.0
_MEASURED = 200  # items whose questions are measured
_BYTES_PER_TOKEN = 4.0


def tokens_of(texts: Iterable[str]) -> float:
    """Return the estimated tokens of all texts together."""
    return sum(len(text.encode()) for text in texts) / _BYTES_PER_TOKEN


def estimate_questions(benchmark: Benchmark, max_items: int | None, samples: int, reply_tokens: int) -> Estimate:
    """Return the requests that asking a teacher each item takes, with prompt and reply tokens.

    Items on this machine are counted; of others the published number is taken. Items with one given answer are not asked.
    """
    kind = benchmark.name.partition(" (")[0]
    if "://" in getattr(benchmark, "address", ""):
        count, tokens = PUBLISHED_SIZES.get(kind, _UNKNOWN_SIZE), _UNKNOWN_TOKENS
        count = min(count, max_items or count)
    else:
        try:
            count, tokens = _measure(benchmark, max_items)
        except RunError:  # a file that is missing or malformed, which is reported elsewhere
            count, tokens = max_items or PUBLISHED_SIZES.get(kind, _UNKNOWN_SIZE), _UNKNOWN_TOKENS
    requests = count * samples
    return Estimate(requests=requests, tokens_in=requests * tokens, tokens_out=requests * reply_tokens)


def _measure(benchmark: Benchmark, max_items: int | None) -> tuple[int, float]:
    """Return the number of items that are asked and the mean length of their questions in tokens."""
    count = 0
    lengths: list[float] = []
    for item in islice(benchmark.items(), max_items):
        if isinstance(item, BenchmarkItem) or len(item.choices) > 1:
            count += 1
            if len(lengths) < _MEASURED:
                message = ask_item(item).turns[-1].content if isinstance(item, BenchmarkItem) else ask_choice(item)
                lengths.append(tokens_of([message]))
    return count, sum(lengths) / len(lengths) if lengths else 0.0


def total(estimates: Iterable[Estimate]) -> Estimate:
    """Return the sum of requests and tokens."""
    each = list(estimates)
    return Estimate(
        requests=sum(item.requests for item in each),
        tokens_in=sum(item.tokens_in for item in each),
        tokens_out=sum(item.tokens_out for item in each),
    )
