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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import examiner, program, walls
from .watch import Watch, Watched

#: Imported once and inherited by every program, so that importing them costs a program nothing.
WARM = (
    "abc array bisect calendar cmath collections collections.abc contextlib copy csv dataclasses datetime decimal enum fractions functools "
    "hashlib heapq inspect io itertools json keyword linecache math numbers operator pprint queue random re statistics string struct "
    "tempfile textwrap threading time traceback types typing unicodedata uuid weakref"
).split()
_LARGEST_REQUEST = 1 << 26
_KEPT_OUTPUT = 8192
_MOUTH, _WIRE = 3, 4  # where a child finds its report and, if it has one, its wire


def receive(channel: socket.socket) -> Any:
    """The next message, or None when the other side is gone."""
    header = channel.recv(4, socket.MSG_WAITALL)
    if len(header) < 4:
        return None
    (length,) = struct.unpack("<I", header)
    if length > _LARGEST_REQUEST:
        return None
    body = channel.recv(length, socket.MSG_WAITALL) if length else b""
    return json.loads(body) if len(body) == length else None


def send(channel: socket.socket, message: Any) -> None:
    """Sends a message: four bytes of length, then JSON."""
    body = json.dumps(message).encode()
    channel.sendall(struct.pack("<I", len(body)) + body)


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
        while (request := receive(self.host)) is not None:
            send(self.host, self.check(request))

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Runs one program, with its tests if it has any, and says how it went."""
        began = time.monotonic()
        walls.clear_desk(self.walls, first=not self.checked)
        self.checked += 1
        key = secrets.token_hex(16)
        out, errors = os.pipe(), os.pipe()
        open_here = [out[1], errors[1]]

        def start(work: Callable[[int], None], *keep: int) -> Watched:
            ear, mouth = os.pipe()
            pid = walls.fork(self.walls, self.own)
            if pid == 0:
                self._become(work, out[1], errors[1], mouth, keep, request["seconds"])
            os.close(mouth)
            return Watched(pid, ear)

        if request.get("tests") and request["apart"]:
            ours, theirs = socket.socketpair()
            processes = [
                start(lambda mouth: examiner.host_program(request["text"], _WIRE, mouth), theirs.fileno()),
                start(lambda mouth: examiner.examine(request["tests"], _WIRE, mouth, key), ours.fileno()),
            ]
            open_here += [ours.detach(), theirs.detach()]
        else:
            source = "\n\n".join(filter(None, (request["text"], request.get("tests"))))
            processes = [start(lambda mouth: examiner.run_alone(source, mouth, key, bool(request.get("tests"))))]
        for fd in open_here:
            os.close(fd)
        watch = Watch(processes, {out[0]: bytearray(), errors[0]: bytearray()}, request["seconds"], request["output"], self.host.fileno())
        watch.until_told()
        watch.close()
        told = _verdict(watch, key)
        tail = watch.streams[errors[0]][-_KEPT_OUTPUT:].decode(errors="replace")
        shown = watch.streams[out[0]][: request["output"]].decode(errors="replace")
        cpu = sum(each.cpu for each in processes)
        return {**told, "stderr": tail, "stdout": shown, "seconds": time.monotonic() - began, "cpu": cpu}

    def _become(self, work: Callable[[int], None], out: int, errors: int, mouth: int, keep: tuple[int, ...], seconds: float) -> None:
        """In the child: keeps nothing of the zygote's, confines itself, does the work, and never comes back."""
        try:
            high = [os.dup2(fd, place, inheritable=False) for place, fd in enumerate((mouth, *keep), start=100)]
            os.dup2(out, 1)
            os.dup2(errors, 2)
            rules = self.walls.rules
            if rules is not None:
                self.walls.rules = os.dup2(rules, 100 + len(high), inheritable=False)
                high.append(self.walls.rules)
            os.closerange(3, 100)
            os.closerange(100 + len(high), 1024)
            for place, fd in enumerate(high[: 1 + len(keep)], start=_MOUTH):
                os.dup2(fd, place)
            walls.confine(self.walls, self.memory, seconds)
            os.closerange(100, 1024)
            program.settle()
            work(_MOUTH)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
        finally:
            os._exit(70)


def _verdict(watch: Watch, key: str) -> dict[str, Any]:
    """What the processes came to: a limit, the program's own failing, or what the process that decides has said."""
    if watch.broken:
        return {"ok": False, "reason": watch.broken}
    program_said, decider = _read(watch.processes[0], ""), watch.processes[-1]
    if program_said and not program_said.get("ended") and len(watch.processes) > 1:
        return _failing(program_said)
    said = _read(decider, key)
    if said and said.get("ended") is True:
        return {"ok": True, "reason": "", "code": said.get("code")}
    for each in watch.processes:
        if each.status is not None and (fate := _fate(each, seen=bool(said))):
            return {"ok": False, "reason": fate}
    return _failing(said or {})


def _fate(process: Watched, seen: bool) -> str:
    status = process.status or 0
    if status in (-signal.SIGXCPU,):
        return "time limit"
    if status == -signal.SIGKILL:
        return ""  # ours, or the CPU backstop
    if status < 0:
        return "killed"
    return "" if seen else "exited early"


def _failing(said: dict[str, Any]) -> dict[str, Any]:
    raised = said.get("raised")
    name = raised if isinstance(raised, str) and raised in program.BUILTIN else "exited early"
    return {"ok": False, "reason": "memory limit" if name == "MemoryError" else name}


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
    for name in WARM:
        importlib.import_module(name)
    memory = walls.address_space() + (memory_mib << 20)

    def ask_to_settle() -> bool:
        send(host, {"unshared": os.getpid()})
        return bool((receive(host) or {}).get("guest"))

    built = walls.do_without() if bare else walls.build(ask_to_settle)
    sys.path[:] = [path for path in sys.path if os.path.isdir(path) and not os.path.exists(os.path.join(path, "inside"))]
    gc.collect()
    gc.freeze()
    send(host, {"lacks": built.lacks})
    if not built.lacks:
        Zygote(host, built, memory, os.pidfd_open(os.getpid())).serve()
