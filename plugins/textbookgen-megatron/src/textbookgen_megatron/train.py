"""The training process: `python -m textbookgen_megatron.train job.json`, alone or once for each rank."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from textbookgen.training.job import leave, work


def main(arguments: list[str]) -> int:
    """Works a job, and gives the exit code."""
    if "--exit-with-parent" in arguments:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return work(_run, Path(arguments[-1]))


def _run(job: Path, stop: threading.Event) -> bool:
    from textbookgen_megatron.backend.run import run
    from textbookgen_megatron.job import TrainingJob

    return run(TrainingJob.read(job), stop)


def _end_with_parent() -> None:
    """The parent holds the other end of standard input, even if it is killed; when that closes, nobody wants this work.

    Not `sys.stdin`: Python would wait for its lock when it ends.
    """
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
