"""What benchmarks/chaos.py runs its trials with: commands in forked processes, a chat server, small disks, digests of outputs.

A command of a trial runs in a fork of this process, which has imported all modules that a run needs, so that a trial takes a
second instead of ten. The process itself never computes with polars, whose threads would not survive the fork.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from chat_server import WORDS, Chat, serve

PARALLEL = 4
TIMEOUT = 150.0  # seconds after which a command counts as hanging; the machine may be busy
LABELS = ("web", "pages", "mostly", "distinct", "clean", "shards", "dataset", "figures")
RECIPE = """
[recipe]
name = "chaos"
[teacher.server]
use = "openai"
model = "m"
api_base = "{address}/v1"
max_parallel = {parallel}
max_retries = 12
timeout = 20.0
[sampler.things]
use = "grid"
thing = ["cat", "dog", "owl", "eel", "ant", "bee"]
place = ["sea", "hill", "wood", "town"]
[stage.web]
use = "jsonl"
path = "{web}"
[stage.pages]
use = "write"
teacher = "server"
sampler = "things"
count = 24
prompt = "Write a page about a {{{{ thing }}}} by the {{{{ place }}}}."
accept = [{{ use = "sample", share = 0.7 }}]
max_failures = 0.0
[stage.mostly]
use = "sample"
from = "web"
share = 0.8
[stage.distinct]
use = "tinystories/openings"
words = 1
from = ["mostly", "pages"]
[stage.clean]
use = "quality/redact"
from = "distinct"
[stage.shards]
use = "pack"
from = "clean"
tokenizer = "bytes"
sequence_length = 64
[stage.dataset]
use = "export"
from = "clean"
layout = "parquet-text"
[stage.figures]
use = "diversity/measure"
from = "clean"
words = 2000
compared = 20
"""
TRAINING = """
[stage.model]
use = "transformers/pretrain"
shards = "shards"
layers = 1
hidden = 16
heads = 2
tokens = 4_000
batch_size = 4
checkpoint_every = 5
"""
_VOLATILE = ("metrics.jsonl", "checkpoint.json", "training_args.bin")  # they hold times
_STORED = ("data", "verdicts", "out")


def preload(modules: list[str]) -> None:
    """Import what a run imported, so that forks need not."""
    for name in modules:
        with suppress(Exception):  # modules of a package's own making
            importlib.import_module(name)


@dataclass
class Command:
    """A command that runs in a fork with a separate session."""

    pid: int
    log: Path
    started: float = field(default_factory=time.monotonic)
    code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while the command runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self) -> int:
        """Wait for the end and return the exit code; a command that hangs is killed and gives 124."""
        while self.poll() is None:
            if time.monotonic() - self.started > TIMEOUT:
                self.kill()
                self.code = 124
            time.sleep(0.005)
        return self.code or 0

    def kill(self, *, group: bool = True) -> None:
        """Kill the process, and unless `group` is false all that it started."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)
        if self.code is None:
            os.waitpid(self.pid, 0)
            self.code = -signal.SIGKILL

    def children(self) -> list[int]:
        """Return the other processes of the session."""
        pids = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                words = stat.read_text().rpartition(")")[2].split()
                if int(words[3]) == self.pid and int(stat.parent.name) != self.pid:
                    pids.append(int(stat.parent.name))
        return pids

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def start(words: list[str], log: Path, max_file: int | None = None) -> Command:
    """Run `textbookgen WORDS` in a fork; its output is appended to `log`.

    Args:
        words: the arguments.
        log: where the output goes.
        max_file: the largest file that the command may write, in bytes.
    """
    pid = os.fork()
    if pid:
        return Command(pid, log)
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if max_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, max_file))
        os._exit(_main(words))
    finally:
        os._exit(99)


def _main(words: list[str]) -> int:
    import traceback

    from textbookgen.cli import main

    sys.argv = ["textbookgen", *words]
    try:
        main()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


class Server:
    """A chat server in a fork, which misbehaves for some prompts."""

    def __init__(self, faults: list[str], seconds: float = 0.01) -> None:
        read, write = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.setsid()
                os.dup2(write, 1)
                os.dup2(os.pipe()[0], 0)  # never closed: the server is killed
                sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
                asyncio.run(serve(Chat(seconds, 40, None, faults), 0))
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read) as lines:
            self.address = f"http://127.0.0.1:{lines.readline().strip()}"

    def replies(self) -> int:
        """Return the number of replies sent so far."""
        with urlopen(f"{self.address}/stats", timeout=30) as stats:
            return sum(json.load(stats)["replies"].values())

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class SmallDisk:
    """A disk of limited size at a folder, where this user may mount one."""

    def __init__(self, folder: Path, kib: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount(f"size={kib}k", "-t", "tmpfs")

    def grow(self) -> None:
        self._mount("remount,size=64m")

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def _mount(self, options: str, *more: str) -> None:
        subprocess.run(["mount", *more, "-o", options, "tmpfs", str(self.folder)], check=True)


def digests(work: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the outputs of complete steps, by name below the work folder."""
    result = {}
    for record in sorted(work.glob("steps/*/record.json")):
        for kind in _STORED:
            for file in sorted((record.parent / kind).rglob("*")):
                if file.is_file() and file.name not in _VOLATILE:
                    result[str(file.relative_to(work / "steps"))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return result


def flip(file: Path, position: float) -> bool:
    """Flip one bit of a file at a relative position; return whether there was one."""
    content = bytearray(file.read_bytes())
    if not content:
        return False
    bit = int(position * len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return True


def write_corpus(file: Path, rows: int = 1_200) -> None:
    """Write documents of random words, always the same."""
    import random

    rng = random.Random(1)
    lines = (json.dumps({"text": " ".join(rng.choice(WORDS) for _ in range(30))}) for _ in range(rows))
    file.write_text("\n".join(lines) + "\n")
