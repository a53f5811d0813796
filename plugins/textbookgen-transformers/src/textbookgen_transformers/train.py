"""The training process: `python -m textbookgen_transformers.train job.json`, alone or once per rank."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Event

from textbookgen.training.process import exit_now, run_job, stop_when_parent_dies


def main(arguments: list[str]) -> int:
    """Run a job and return the exit code of the process."""
    if "RANK" in os.environ:
        stop_when_parent_dies()
    return run_job(_train, Path(arguments[-1]))


def _train(path: Path, stop: Event) -> bool:
    from textbookgen_transformers.job import TransformersJob

    job = TransformersJob.read(path)
    from textbookgen_transformers.backend.run import run  # last, since importing transformers takes seconds

    return run(job, stop)


if __name__ == "__main__":
    exit_now(main(sys.argv[1:]))
