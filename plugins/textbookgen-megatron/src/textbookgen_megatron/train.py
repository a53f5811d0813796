"""The training process: `python -m textbookgen_megatron.train job.json`, alone or once for each rank."""

from __future__ import annotations

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
    if "--tied-to-parent" in arguments:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda number, frame: stop.set())
    try:
        from textbookgen_megatron.backend.run import run
        from textbookgen_megatron.job import TrainingJob

        return 0 if run(TrainingJob.read(Path(arguments[-1])), stop) else STOPPED
    except TextbookgenError as error:
        if os.environ.get("RANK", "0") == "0":
            print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def _end_with_parent() -> None:
    """The parent holds the other end of standard input, even if it is killed; when that closes, nobody wants this work.

    Not `sys.stdin`: Python would wait for its lock when it ends.
    """
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # not sys.exit: torch's threads may keep a failed process, and with it the whole job, from ending
