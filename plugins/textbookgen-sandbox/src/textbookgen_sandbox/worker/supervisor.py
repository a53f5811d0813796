"""Supervisor of the processes of one program: enforces time and output limits from outside, and ends them.

Threat: a program that runs, sleeps or prints without end, or that disables the limits it can reach. The supervisor runs in the
fork server, reads CPU clocks that the kernel keeps, and ends a process with SIGKILL; as the first of its process namespace
(PID 1) a killed process takes all others in the namespace with it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field

_MAX_REPORT = 1 << 18  # bytes
#: Wall-clock seconds a program may take per CPU second it may use. Waiting for a busy machine is not its fault.
WALL_CLOCK_FACTOR = 5


@dataclass
class ChildProcess:
    """A supervised process.

    Attributes:
        pid: its process id.
        report_fd: the read end of the pipe its report comes through.
        report: the bytes of the report so far.
        status: its exit code, or minus the signal that ended it; None while it runs.
        cpu_seconds: CPU time it has used.
        exited: whether it ended by itself rather than by the supervisor.
    """

    pid: int
    report_fd: int
    report: bytearray = field(default_factory=bytearray)
    status: int | None = None
    cpu_seconds: float = 0.0
    exited: bool = False

    def __post_init__(self) -> None:
        self.pidfd = os.pidfd_open(self.pid)

    def read_cpu_clock(self) -> float:
        """Update and return the CPU seconds it has used."""
        if self.status is None:
            try:
                self.cpu_seconds = time.clock_gettime((~self.pid << 3) | 2)  # its CPU clock: see clock_getcpuclockid(3)
            except OSError:
                pass
        return self.cpu_seconds

    def kill(self) -> None:
        """Kill it, and with it everything in its process namespace, and wait until it is gone."""
        if self.status is None and not self.reap(os.WNOHANG):
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
            self.exited = False

    def reap(self, options: int = 0) -> bool:
        """Collect its exit status; return whether there was one."""
        pid, status, usage = os.wait4(self.pid, options)
        if pid == 0:
            return False
        self.exited = True
        self.status = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return True


@dataclass
class Supervisor:
    """Waits for one program's processes to report, to end, or to exceed a limit.

    Attributes:
        processes: the program's process and, with separate tests, that of the tests last.
        streams: what was read from stdout and stderr, by descriptor.
        seconds: CPU seconds the processes may use together.
        max_output: bytes they may print together.
        host: the channel to the host, watched for its end.
        exceeded: the limit that was exceeded, or ''.
    """

    processes: list[ChildProcess]
    streams: dict[int, bytearray]
    seconds: float
    max_output: int
    host: int
    exceeded: str = ""

    def wait(self) -> None:
        """Return when the last process has reported, the first has reported a failure, all have ended, or a limit is exceeded.

        Raises:
            SystemExit: the host has closed the channel.
        """
        start = time.monotonic()
        poll = select.poll()
        for fd in (*self.streams, *(process.report_fd for process in self.processes), self.host):
            poll.register(fd, select.POLLIN if fd != self.host else 0)
        for process in self.processes:
            poll.register(process.pidfd, select.POLLIN)
        while not self.exceeded and not self._is_done():
            used = sum(process.read_cpu_clock() for process in self.processes)
            left = min(self.seconds - used, WALL_CLOCK_FACTOR * self.seconds - (time.monotonic() - start))
            if left <= 0:
                self.exceeded = "time limit"
                break
            for fd, _ in poll.poll(left * 1000 + 1):
                self._handle(poll, fd)

    def _handle(self, poll: select.poll, fd: int) -> None:
        if fd == self.host:
            raise SystemExit  # no one is left to report to
        for process in self.processes:
            if fd == process.pidfd:
                poll.unregister(fd)
                process.reap()
                return
        sink = self.streams.get(fd)
        if sink is None:
            sink = next(process.report for process in self.processes if process.report_fd == fd)
        data = os.read(fd, 65536)
        if not data:
            poll.unregister(fd)
        sink += data
        if sum(map(len, self.streams.values())) > self.max_output or len(sink) > max(_MAX_REPORT, self.max_output):
            self.exceeded = "output limit"

    def _is_done(self) -> bool:
        first, last = self.processes[0], self.processes[-1]
        if b"\n" in last.report or all(process.status is not None for process in self.processes):
            return True
        return b"\n" in first.report and b'"ended": true' not in first.report

    def close(self) -> None:
        """Kill what still runs, read what is still in the pipes, and close all descriptors."""
        for process in self.processes:
            process.kill()
        for fd, sink in [*self.streams.items(), *((process.report_fd, process.report) for process in self.processes)]:
            os.set_blocking(fd, False)
            try:
                sink += os.read(fd, 65536)
            except BlockingIOError:
                pass
        if sum(map(len, self.streams.values())) > self.max_output:
            self.exceeded = self.exceeded or "output limit"
        for process in self.processes:
            os.close(process.report_fd)
            os.close(process.pidfd)
        for fd in self.streams:
            os.close(fd)
