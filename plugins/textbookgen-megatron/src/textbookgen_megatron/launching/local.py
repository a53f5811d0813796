"""Starts the processes of a training job on this machine, and ends them together.

It replaces `torchrun` on a single machine and starts in 0.1 instead of 1.5 seconds, since it does not import torch. It sets
the rank variables of each process; the first failure ends all processes, and so does the death of this process, even by
SIGKILL. For several machines, start `textbookgen_megatron.train` with `torchrun`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

#: Exit code of a process that saved and stopped because it was asked to.
EXIT_STOPPED = 143
#: Seconds that processes have to save and exit after SIGTERM.
SAVE_TIMEOUT = 120
#: Seconds that the other processes have to report their errors after one failed.
FAILURE_TIMEOUT = 3
POLL_INTERVAL = 0.02


def launch(processes: int, job: str) -> int:
    """Run a job in a number of processes.

    Args:
        processes: The world size.
        job: Path of job.json.

    Returns:
        The exit code of the first process that failed, 128 plus the signal if it was killed; 0 if all succeeded.
    """
    with tempfile.TemporaryDirectory(prefix="textbookgen-") as folder:
        rendezvous = Path(folder) / "rendezvous"
        running = [_start(rank, processes, job, rendezvous) for rank in range(processes)]
        forward = _terminate_all(running)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, forward)
        try:
            return _wait(running)
        finally:
            for process in running:
                process.kill()
                process.communicate()


def _start(rank: int, processes: int, job: str, rendezvous: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "TEXTBOOKGEN_RENDEZVOUS_FILE": str(rendezvous),
    }
    if sys.platform == "linux":
        environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # the process watches its standard input, which closes when this one ends
    command = [sys.executable, "-m", "textbookgen_megatron.train", "--exit-with-parent", job]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)


def _terminate_all(running: list[subprocess.Popen[bytes]]) -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that sends SIGTERM to all processes."""

    def forward(number: int, frame: FrameType | None) -> None:
        for process in running:
            process.send_signal(signal.SIGTERM)

    return forward


def _wait(running: list[subprocess.Popen[bytes]]) -> int:
    """Wait until all processes succeeded or one failed, and return the exit code of the job."""
    while True:
        codes = [process.poll() for process in running]
        failures = [code for code in codes if code]
        if failures:
            return _wait_after_failure(running, failures[0])
        if all(code == 0 for code in codes):
            return 0
        time.sleep(POLL_INTERVAL)


def _wait_after_failure(running: list[subprocess.Popen[bytes]], code: int) -> int:
    """Give the other processes time to exit: enough to save if the first stopped on request, else very little."""
    deadline = time.monotonic() + (SAVE_TIMEOUT if code == EXIT_STOPPED else FAILURE_TIMEOUT)
    while time.monotonic() < deadline and any(process.poll() is None for process in running):
        time.sleep(POLL_INTERVAL)
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[2]))
