"""The training process: `python -m textbookgen_megatron.train job.json`, alone or once per rank."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event

from textbookgen.training.process import exit_now, exit_when_stdin_closes, run_job


def main(arguments: list[str]) -> int:
    """Run a job and return the exit code of the process."""
    if "--exit-with-parent" in arguments:
        exit_when_stdin_closes()
    return run_job(_train, Path(arguments[-1]))


def _train(path: Path, stop: Event) -> bool:
    from textbookgen_megatron.backend.run import run
    from textbookgen_megatron.job import MegatronJob

    return run(MegatronJob.read(path), stop)


if __name__ == "__main__":
    exit_now(main(sys.argv[1:]))
