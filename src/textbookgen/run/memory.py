"""Peak memory of a step, as the kernel measures it."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path


def reset_peak() -> None:
    """Restart the measurement of this process's peak memory, where the kernel supports it (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mib(*, of_children: bool = False) -> float:
    """Return the peak memory in MiB: of this process since `reset_peak`, or of its largest child process so far."""
    if of_children:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
