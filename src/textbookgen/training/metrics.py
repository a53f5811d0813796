"""metrics.jsonl, the time a run took, and what devices can do at best."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

#: Dense bfloat16 peaks in FLOP/s from the vendors' data sheets, by a part of the GPU's name; the first match counts.
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "B200": 2250e12,
}


class MetricsWriter:
    """Writes metrics.jsonl, one line per step.

    Args:
        folder: the job's folder.
        keep_until: the step a run resumes from; lines after it, and one that an interrupted write left incomplete, are
            removed first, since the resumed run writes them again.
    """

    def __init__(self, folder: Path, keep_until: int) -> None:
        path, temporary = folder / "metrics.jsonl", folder / "metrics.jsonl.tmp"
        path.touch()
        with path.open("rb") as lines, temporary.open("wb") as kept:
            for line in lines:
                metrics = parse_metrics(line)
                if metrics is not None and line.endswith(b"\n") and metrics["step"] <= keep_until:
                    kept.write(line)
        temporary.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, line: dict[str, Any]) -> None:
        """Write a line and flush it; values that are None are left out."""
        self._file.write(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_metrics(line: str | bytes) -> dict[str, Any] | None:
    """Return a line of metrics.jsonl; None if it is not complete or was damaged: without it, a curve lacks a point."""
    try:
        metrics = json.loads(line)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return metrics if isinstance(metrics, dict) and isinstance(metrics.get("step"), int) else None


class RunClock:
    """Seconds of training, those of earlier attempts included, and the rate of progress."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._start = time.monotonic() - seconds
        self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training in all attempts, without the time between them."""
        return time.monotonic() - self._start

    def rate(self, tokens: int) -> float:
        """Return tokens per second, for the tokens since the last call."""
        now = time.monotonic()
        elapsed, self._last = now - self._last, now
        return tokens / max(elapsed, 1e-9)


def gpu_peak_flops(name: str) -> float | None:
    """Return the peak dense bfloat16 FLOP/s of a GPU by its name, or None if it is unknown."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def peak_memory_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
