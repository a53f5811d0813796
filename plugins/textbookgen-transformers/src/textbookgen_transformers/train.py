"""The training process: `python -m textbookgen_transformers.train job.json`, alone or once for each rank."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from threading import Event

from textbookgen.training.job import leave, work


def main(arguments: list[str]) -> int:
    """Works a job, and gives the exit code."""
    if "RANK" in os.environ:
        _end_with_parent()
    return work(_run, Path(arguments[-1]))


def _run(path: Path, stop: Event) -> bool:
    from textbookgen_transformers.job import TrainingJob

    job = TrainingJob.read(path)
    from textbookgen_transformers.backend.run import run  # last, since it takes seconds

    return run(job, stop)


def _end_with_parent() -> None:
    """Has the kernel ask this process to stop if its launcher is killed; Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
