"""Starts the processes of a training job on this machine and ends them together.

It does for one machine what `torchrun` does, in 0.1 instead of 1.5 seconds, since it needs no torch: ranks in the
environment, the first failure ends all, and a stopped or killed parent takes its processes along. For several machines,
start `textbookgen_megatron.train` with `torchrun`.
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

#: Seconds that processes have to save and end after SIGTERM.
GRACE = 120


def launch(processes: int, job: str) -> int:
    """Runs the job in so many processes; gives the exit code of the first that failed, or 0."""
    with tempfile.TemporaryDirectory(prefix="textbookgen-") as folder:
        meeting = Path(folder) / "meeting"
        running = [_start(rank, processes, job, meeting) for rank in range(processes)]
        forward = _forwarding(running)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, forward)
        try:
            return _wait(running)
        finally:
            for process in running:
                process.kill()
                process.wait()


def _start(rank: int, processes: int, job: str, meeting: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "TEXTBOOKGEN_MEETING_FILE": str(meeting),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else ""),
    }
    if not environment["GLOO_SOCKET_IFNAME"]:
        del environment["GLOO_SOCKET_IFNAME"]
    command = [sys.executable, "-m", "textbookgen_megatron.train", "--tied-to-parent", job]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)


def _forwarding(running: list[subprocess.Popen[bytes]]) -> Callable[[int, FrameType | None], None]:
    def forward(number: int, frame: FrameType | None) -> None:
        for process in running:
            process.send_signal(signal.SIGTERM)

    return forward


def _wait(running: list[subprocess.Popen[bytes]]) -> int:
    """Until all ended well, or one failed."""
    while True:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code]
        if failed:
            return _settled(running, failed[0])
        if all(code == 0 for code in codes):
            return 0
        time.sleep(0.02)


def _settled(running: list[subprocess.Popen[bytes]], code: int) -> int:
    """Gives the others a moment to end as the first did, if it ended on purpose; else nothing is to be waited for."""
    deadline = time.monotonic() + (GRACE if code == 143 else 3)
    while time.monotonic() < deadline and any(process.poll() is None for process in running):
        time.sleep(0.02)
    return code if code > 0 else 128 - code


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[2]))
