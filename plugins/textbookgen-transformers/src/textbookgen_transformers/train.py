"""The training process: `python -m textbookgen_transformers.train job.json`, alone or once for each rank."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from textbookgen.errors import TextbookgenError

#: Exit code of a run that was asked to stop and saved.
STOPPED = 143


def main(arguments: list[str]) -> int:
    """Works a job; what is wrong is told on standard error, once, in words."""
    first = os.environ.get("RANK", "0") == "0"
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.set())
    if "RANK" in os.environ:
        _end_with_parent()
    try:
        from textbookgen_transformers.job import TrainingJob

        job = TrainingJob.read(Path(arguments[-1]))
        from textbookgen_transformers.backend.run import run  # last, since it takes seconds

        return 0 if run(job, stop) else STOPPED
    except TextbookgenError as error:
        if first:
            print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def _end_with_parent() -> None:
    """Has the kernel ask this process to stop if its launcher is killed; Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: torch's threads may keep a failed process, and with it the whole job, from ending
