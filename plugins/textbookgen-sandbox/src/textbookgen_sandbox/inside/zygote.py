"""Inside the walls: takes programs from the host one by one, and runs each in fresh processes forked from this warm one."""

from __future__ import annotations

import gc
import importlib
import json
import os
import secrets
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import examiner, page, program, walls
from .watch import Watch, Watched

#: Imported once and inherited by every program, so that importing them costs a program nothing.
WARM = """
    abc array ast bisect calendar cmath collections collections.abc contextlib copy csv dataclasses datetime decimal doctest
    enum fractions functools hashlib heapq inspect io itertools json keyword linecache math numbers operator pprint queue
    random re statistics string struct tempfile textwrap threading time tokenize traceback types typing unicodedata uuid
    weakref
"""
_LARGEST_REQUEST = 1 << 26
_KEPT_OUTPUT = 8192
_MOUTH, _WIRE, _TESTS = 3, 4, 5  # where a child finds its report and, if it has them, its wire and the tests
_HIGH = 512  # above any file a zygote has open


def receive(channel: socket.socket) -> tuple[Any, list[int]]:
    """The next message and the files that came with it; None when the other side is gone."""
    header, files, _, _ = socket.recv_fds(channel, 4, 1, socket.MSG_WAITALL)
    if len(header) < 4:
        return None, files
    (length,) = struct.unpack("<I", header)
    if length > _LARGEST_REQUEST:
        return None, files
    body = channel.recv(length, socket.MSG_WAITALL) if length else b""
    return (json.loads(body) if len(body) == length else None), files


def send(channel: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Sends a message: four bytes of length, with the files, then JSON."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [struct.pack("<I", len(body))], files)
    channel.sendall(body)


@dataclass
class Zygote:
    """The warm process that programs are forked from."""

    host: socket.socket
    walls: walls.Walls
    memory: int
    own: int  # a pidfd of this process
    checked: int = 0

    def serve(self) -> None:
        """Runs what the host sends until the host is gone."""
        while True:
            request, files = receive(self.host)
            if request is None:
                return
            send(self.host, self.check(request, files))

    def check(self, request: dict[str, Any], files: list[int]) -> dict[str, Any]:
        """Runs one program, with its tests if they came in a file, and says how it went."""
        began = time.monotonic()
        walls.clear_desk(self.walls, first=not self.checked)
        self.checked += 1
        key = "" if files else secrets.token_hex(16)
        out, errors = os.pipe(), os.pipe()
        processes = self._start(request, files, key, out[1], errors[1])
        for fd in (out[1], errors[1], *files):
            os.close(fd)
        streams = {out[0]: bytearray(), errors[0]: bytearray()}
        watch = Watch(processes, streams, request["seconds"], request["output"], self.host.fileno())
        watch.until_told()
        watch.close()
        tail = streams[errors[0]][-_KEPT_OUTPUT:].decode(errors="replace")
        shown = streams[out[0]][: request["output"]].decode(errors="replace")
        cpu = sum(item.cpu for item in processes)
        return {**_verdict(watch, key), "stderr": tail, "stdout": shown, "seconds": time.monotonic() - began, "cpu": cpu}

    def _start(self, request: dict[str, Any], files: list[int], key: str, out: int, errors: int) -> list[Watched]:
        """Forks the process of the program and, if there are tests, theirs.

        Tests are never read here, lest a program find them in the memory it inherits: not this time, nor the next.
        """
        seconds, text = request["seconds"], request["text"]

        def start(work: Callable[[], None], *keep: int) -> Watched:
            ear, mouth = os.pipe()
            pid = walls.fork(self.walls, self.own)
            if pid == 0:
                self._become(work, out, errors, (mouth, *keep), seconds)
            os.close(mouth)
            return Watched(pid, ear)

        if request["page"]:
            return [start(lambda: page.run_page(text, _MOUTH, key))]
        if not files:
            return [start(lambda: examiner.run_alone(text, request["tests"], _MOUTH, key))]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            return [
                start(lambda: examiner.host_program(text, _WIRE, _MOUTH), theirs.fileno()),
                start(lambda: examiner.examine(_TESTS, _WIRE, _MOUTH), ours.fileno(), *files),
            ]

    def _become(self, work: Callable[[], None], out: int, errors: int, keep: tuple[int, ...], seconds: float) -> None:
        """In the child: keeps nothing of the zygote's, confines itself, does the work, and never comes back."""
        try:
            if self.walls.rules is not None:
                keep = (*keep, self.walls.rules)
            high = [os.dup2(fd, place, inheritable=False) for place, fd in enumerate(keep, start=_HIGH)]
            os.dup2(out, 1)
            os.dup2(errors, 2)
            os.closerange(3, _HIGH)
            for place, fd in enumerate(high, start=_MOUTH):
                os.dup2(fd, place)
            os.closerange(_HIGH, 2 * _HIGH)
            if self.walls.rules is not None:
                self.walls.rules = _MOUTH + len(high) - 1
            walls.confine(self.walls, self.memory, seconds)
            program.settle()
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        finally:
            os._exit(70)


def _verdict(watch: Watch, key: str) -> dict[str, Any]:
    """What the processes came to: a limit, the program's own failing, or what the process that decides has said."""
    program_process, decider = watch.processes[0], watch.processes[-1]
    if watch.broken:
        return {"ok": False, "reason": watch.broken}
    apart = decider is not program_process
    early = _read(program_process, "") if apart else None
    if early and not early.get("ended"):
        return {"ok": False, "reason": _failing(early)}
    said = _read(decider, key)
    notes = {"notes": said.get("notes"), "snippets": said.get("snippets")} if said else {}
    if said and said.get("ended") is True and not (apart and program_process.left):
        return {"ok": True, "reason": "", **notes}
    fates = (_fate(item) for item in watch.processes if item.left)
    return {"ok": False, "reason": next(filter(None, fates), "") or _failing(said or {}), **notes}


def _fate(process: Watched) -> str:
    """Why a process ended that was not ended: by a limit of the kernel's, by a signal of its own making, or neither."""
    status = process.status or 0
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time limit"
    return "killed" if status < 0 else ""


def _failing(said: dict[str, Any]) -> str:
    raised = said.get("raised")
    name = raised if isinstance(raised, str) and raised in program.BUILTIN else "exited early"
    return "memory limit" if name == "MemoryError" else name


def _read(process: Watched, key: str) -> dict[str, Any] | None:
    """The report of a process, if it is one and, where a key is asked for, has it."""
    try:
        said = json.loads(process.said.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or (key and said.get("key") != key):
        return None
    return said


def main(channel: int, memory_mib: int, bare: bool) -> None:
    """Warms up, builds the walls, tells the host how high they are, and serves."""
    host = socket.socket(fileno=channel)
    for name in WARM.split():
        importlib.import_module(name)
    memory = walls.address_space() + (memory_mib << 20)

    def ask_to_settle() -> bool:
        send(host, {"unshared": os.getpid()})
        return bool((receive(host)[0] or {}).get("guest"))

    built = walls.do_without() if bare else walls.build(ask_to_settle)
    sys.path[:] = [path for path in sys.path if Path(path).is_dir() and not Path(path, "inside").exists()]
    gc.collect()
    gc.freeze()
    send(host, {"lacks": built.lacks})
    if not built.lacks:
        Zygote(host, built, memory, os.pidfd_open(os.getpid())).serve()
