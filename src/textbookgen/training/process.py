"""A training process: stop signals, exit codes, and ending together with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import NoReturn

from textbookgen.api.errors import TextbookgenError

#: Exit code of a run that was asked to stop and saved a checkpoint.
EXIT_STOPPED = 143


def run_job(train: Callable[[Path, Event], bool], job: Path) -> int:
    """Run a job and return the exit code of the process. Rank 0 prints errors to stderr.

    Args:
        train: runs the job of a job.json. It should look at the event, which SIGTERM and SIGINT set, and then save, stop early
            and return False.
        job: path of job.json.
    """
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.set())
    try:
        return 0 if train(job, stop) else EXIT_STOPPED
    except TextbookgenError as error:
        if launched_as_rank_zero():
            print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def launched_as_rank_zero() -> bool:
    """Whether this process is the first of its job, by the environment variable RANK, before torch is imported."""
    return os.environ.get("RANK", "0") == "0"


def exit_now(code: int) -> NoReturn:
    """End the process without waiting for threads: those of a failed job may never end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def stop_when_parent_dies() -> None:
    """Have the kernel send SIGTERM to this process when its parent dies; on Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def exit_when_stdin_closes() -> None:
    """End this process when its parent, which holds the other end of standard input, closes it or dies."""
    threading.Thread(target=_wait_for_stdin, daemon=True).start()


def _wait_for_stdin() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock the interpreter would wait for at exit
    os._exit(1)
