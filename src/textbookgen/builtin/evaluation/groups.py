"""Means over groups of benchmarks, as the report on phi-2 groups them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

#: The groups of phi-2's report (Javaheripi and Bubeck 2023) that this stage can score, with their benchmarks.
GROUPS: dict[str, tuple[str, ...]] = {
    "commonsense reasoning": ("piqa", "winogrande", "arc_easy", "arc_challenge", "social_iqa"),
    "language understanding": ("hellaswag", "openbookqa", "mmlu", "squad", "boolq"),
    "coding": ("humaneval", "mbpp"),
}


def group_figures(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the unweighted mean of each group and metric for which a model has a figure of every benchmark of the group.

    A benchmark counts in any form and with any number of examples; the first figure if there are several.

    Args:
        rows: figures of benchmarks, with `subject`, `benchmark`, `metric`, `value`, `stderr` and `n`.
    """
    first: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        first.setdefault((row["subject"], row["metric"], row["benchmark"].partition(" (")[0]), row)
    for subject, metric in dict.fromkeys((subject, metric) for subject, metric, _ in first):
        for group, benchmarks in GROUPS.items():
            members = [first[key] for name in benchmarks if (key := (subject, metric, name)) in first]
            if len(members) == len(benchmarks):
                yield {
                    "subject": subject,
                    "benchmark": group,
                    "metric": metric,
                    "value": sum(row["value"] for row in members) / len(members),
                    "stderr": math.sqrt(sum(row["stderr"] ** 2 for row in members)) / len(members),
                    "n": sum(row["n"] for row in members),
                }
