"""Format a cost estimate: a table with one row per step, and a sentence with the totals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from textbookgen.api.errors import Diagnostic
from textbookgen.provenance.cost_estimate import CostEstimate

COLUMNS = (
    "step",
    "stage",
    "output",
    "documents",
    "tokens",
    "requests",
    "prompt tokens",
    "reply tokens",
    "cost",
    "disk",
    "GPU hours",
)


def estimate_rows(estimate: CostEstimate) -> Iterator[tuple[str, ...]]:
    """Yield one row per step."""
    for item in estimate.steps:
        volume = item.volume
        cost = ""
        if volume.requests:
            cost = "unknown" if item.cost_usd is None else _dollars(item.cost_usd, item.margin_usd)
        counts = (volume.documents, volume.tokens, volume.requests, volume.tokens_in, volume.tokens_out)
        hours = f"{volume.gpu_hours:,.1f}" if volume.gpu_hours >= 0.05 else ""
        step = item.step
        yield (step.label, step.use, step.output.name, *map(_count, counts), cost, _bytes(volume.disk_bytes), hours)


def total_sentence(estimate: CostEstimate) -> str:
    """Return the totals in a sentence."""
    total = estimate.as_dict()["total"]
    margin = math.hypot(*[item.margin_usd or 0.0 for item in estimate.steps]) or None
    unknown = " plus steps of unknown price" if any(item.cost_usd is None for item in estimate.steps) else ""
    requests, tokens = _count(total["requests"]) or "0", _count(total["tokens_in"] + total["tokens_out"]) or "0"
    disk = _bytes(total["disk_bytes"]) or "less than 1 KiB"
    return (
        f"Estimated total: {requests} requests, {tokens} teacher tokens, {_dollars(total['cost_usd'], margin)}{unknown}, "
        f"{disk} of disk space, {total['gpu_hours']:,.1f} GPU hours (dry run)."
    )


def requirements_text(missing: Sequence[Diagnostic]) -> str:
    """Return what a valid recipe still needs before it can run."""
    return "Missing before it can run:\n\n" + "\n\n".join(map(str, missing))


def _dollars(cost: float, margin: float | None) -> str:
    return f"${cost:,.2f}" + (f" ± {margin:,.2f}" if margin else "")


def _count(value: float | None) -> str:
    """Return a count such as `1,234`, `5.6 M` or `7.8 B`; empty if it is zero or unknown."""
    if not value:
        return ""
    for size, name in ((1e12, " T"), (1e9, " B"), (1e6, " M")):
        if value >= size:
            return f"{value / size:,.1f}{name}"
    return f"{value:,.0f}"


def _bytes(value: float | None) -> str:
    """Return a size such as `7.8 GiB`; empty if it is zero or unknown."""
    if not value:
        return ""
    for size, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value / 1024:,.0f} KiB"
