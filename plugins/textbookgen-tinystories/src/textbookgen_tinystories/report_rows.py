"""Rows of report tables (see `textbookgen.api.rows.REPORT_SCHEMA`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def mean_row(subject: str, metric: str, values: Sequence[float]) -> dict[str, Any]:
    """Return a report row with the mean of at least one value, and its standard error from the sample variance."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    return {"subject": subject, "metric": metric, "value": mean, "stderr": math.sqrt(variance / len(values)), "n": len(values)}
