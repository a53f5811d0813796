"""Watches the processes of one program from outside: time, output, and how they end."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field

_LARGEST_REPORT = 1 << 18
#: How much longer a program may take by the clock than by CPU time. Waiting for a busy machine is not its fault.
CLOCK = 5


@dataclass
class Watched:
    """A process being watched, and what it has said so far."""

    pid: int
    ear: int
    said: bytearray = field(default_factory=bytearray)
    status: int | None = None  # its exit code, or minus the signal that ended it
    cpu: float = 0.0
    left: bool = False  # whether it ended of itself

    def __post_init__(self) -> None:
        self.pidfd = os.pidfd_open(self.pid)

    def look(self) -> float:
        """The CPU seconds it has used."""
        if self.status is None:
            try:
                self.cpu = time.clock_gettime((~self.pid << 3) | 2)  # the clock of that process: see clock_getcpuclockid(3)
            except OSError:
                pass
        return self.cpu

    def end(self) -> None:
        """Kills it, and with it everything in its process namespace, and waits until it is gone."""
        if self.status is None and not self.reap(os.WNOHANG):
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
            self.left = False

    def reap(self, how: int = 0) -> bool:
        """Takes its exit status, if it has one."""
        pid, status, used = os.wait4(self.pid, how)
        if pid == 0:
            return False
        self.left = True
        self.status = os.waitstatus_to_exitcode(status)
        self.cpu = used.ru_utime + used.ru_stime
        return True


@dataclass
class Watch:
    """One program's processes and their two streams, watched until one has told the end or a limit is reached."""

    processes: list[Watched]
    streams: dict[int, bytearray]
    seconds: float
    most_output: int
    host: int
    broken: str = ""  # the limit that was reached

    def until_told(self) -> None:
        """Returns when the last process has said its report, the first has said it failed, all ended, or a limit is reached."""
        began = time.monotonic()
        poll = select.poll()
        for fd in (*self.streams, *(item.ear for item in self.processes), self.host):
            poll.register(fd, select.POLLIN if fd != self.host else 0)
        for item in self.processes:
            poll.register(item.pidfd, select.POLLIN)
        while not self.broken and not self._told():
            used = sum(item.look() for item in self.processes)
            left = min(self.seconds - used, CLOCK * self.seconds - (time.monotonic() - began))
            if left <= 0:
                self.broken = "time limit"
                break
            for fd, _ in poll.poll(left * 1000 + 1):
                self._hear(poll, fd)

    def _hear(self, poll: select.poll, fd: int) -> None:
        if fd == self.host:
            raise SystemExit  # nobody is left to tell
        for item in self.processes:
            if fd == item.pidfd:
                poll.unregister(fd)
                item.reap()
                return
        sink = self.streams.get(fd)
        if sink is None:
            sink = next(item.said for item in self.processes if item.ear == fd)
        data = os.read(fd, 65536)
        if not data:
            poll.unregister(fd)
        sink += data
        if sum(map(len, self.streams.values())) > self.most_output or len(sink) > max(_LARGEST_REPORT, self.most_output):
            self.broken = "output limit"

    def _told(self) -> bool:
        first, last = self.processes[0], self.processes[-1]
        if b"\n" in last.said or all(item.status is not None for item in self.processes):
            return True
        return b"\n" in first.said and b'"ended": true' not in first.said

    def close(self) -> None:
        """Ends what still runs, hears what is still in the pipes, and lets go of everything."""
        for item in self.processes:
            item.end()
        for fd, sink in [*self.streams.items(), *((item.ear, item.said) for item in self.processes)]:
            os.set_blocking(fd, False)
            try:
                sink += os.read(fd, 65536)
            except BlockingIOError:
                pass
        for fd in (*self.streams, *(item.ear for item in self.processes), *(item.pidfd for item in self.processes)):
            os.close(fd)
