"""The kinds of trials of benchmarks/chaos.py: each disturbs a run, lets the same command finish, and compares."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos_tools import LABELS, PARALLEL, RECIPE, TRAINING, Command, Server, SmallDisk, digests, flip, start

FAULTS = ("429x1@0.05", "500x1", "503x1", "dropx1", "halfx1", "malformedx1", "nestedx1", "emptyx1", "slowx1", "poison")


class Loss(Exception):
    """A promise that did not hold."""


@dataclass
class Baseline:
    """What an undisturbed run gives: its digests, its number of replies, its duration, and a copy of its work folder."""

    digests: dict[str, str]
    replies: int
    seconds: float
    work: Path


@dataclass
class Trial:
    """One trial: a folder, a server, and what happened so far."""

    folder: Path
    web: Path
    rng: random.Random
    baseline: Baseline
    server: Server
    training: bool = False
    kills: int = 0
    commands: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.recipe = self.folder / "chaos.toml"
        text = RECIPE + (TRAINING if self.training else "")
        self.recipe.write_text(text.format(address=self.server.address, parallel=PARALLEL, web=self.web))

    # -- commands

    def start(self, *words: str, max_file: int | None = None, work: Path | None = None) -> Command:
        log = self.folder / f"log-{len(self.commands)}.txt"
        command = start([*words, "--work", str(work or self.work)], log, max_file)
        self.commands.append(command)
        return command

    def begin(self, *more: str, executor: str = "serial", max_file: int | None = None, work: Path | None = None) -> Command:
        words = ("recipe", "run", str(self.recipe), "--quiet", "--executor", executor, *more)
        return self.start(*words, max_file=max_file, work=work)

    def finish(self, *more: str, work: Path | None = None) -> None:
        """Run the recipe to its end and compare its outputs with those of the undisturbed run."""
        command = self.begin(*more, work=work)
        self.expect(command, 0)
        self.compare(work or self.work)

    def expect(self, command: Command, *codes: int) -> None:
        code = command.wait()
        if code not in codes:
            raise Loss(f"exit code {code} instead of {codes}: {command.text[-1500:]}")

    def compare(self, work: Path) -> None:
        actual = digests(work)
        wrong = sorted(name for name, digest in self.baseline.digests.items() if actual.get(name) != digest)
        if wrong:
            raise Loss(f"{len(wrong)} files are missing or differ: {wrong[:4]}")

    def kill(self, command: Command, longest: float, *, group: bool = True) -> None:
        """Kill a command after a random time of at most `longest` seconds, unless it ends before."""
        deadline = time.monotonic() + self.rng.uniform(0.0, longest)
        while time.monotonic() < deadline and command.poll() is None:
            time.sleep(0.002)
        if command.poll() is None:
            self.kills += 1
            command.kill(group=group)

    def copy_finished(self) -> None:
        """Begin with a copy of the work folder of the undisturbed run."""
        shutil.copytree(self.baseline.work, self.work)

    @property
    def extra(self) -> int:
        """Replies beyond those that an undisturbed run needs."""
        return self.server.replies() - self.baseline.replies


# -- kills


def kill_group(trial: Trial) -> None:
    for _ in range(trial.rng.randint(1, 3)):
        trial.kill(trial.begin(), trial.baseline.seconds)
    trial.finish()


def kill_parent(trial: Trial) -> None:
    command = trial.begin(executor="processes:2")
    trial.kill(command, 2 * trial.baseline.seconds, group=False)
    trial.finish()  # while orphans may still be there
    command.kill()


def kill_worker(trial: Trial) -> None:
    command = trial.begin(executor="processes:2")
    time.sleep(trial.rng.uniform(0.2, 3.0) * trial.baseline.seconds)
    with suppress(IndexError, ProcessLookupError):
        os.kill(trial.rng.choice(command.children()), signal.SIGKILL)
        trial.kills += 1
    trial.expect(command, 0, 1)
    trial.finish()


def interrupt(trial: Trial) -> None:
    command = trial.begin()
    time.sleep(trial.rng.uniform(0.05, 1.0) * trial.baseline.seconds)
    for _ in range(trial.rng.randint(1, 2)):
        if command.poll() is None:
            os.kill(command.pid, signal.SIGINT)
            trial.kills += 1
            time.sleep(trial.rng.uniform(0.0, 0.1))
    trial.expect(command, 0, 130, 98)
    trial.finish()


def kill_clear(trial: Trial) -> None:
    trial.copy_finished()
    for _ in range(trial.rng.randint(1, 2)):
        labels = trial.rng.sample(LABELS, trial.rng.randint(1, 3))
        trial.kill(trial.begin(*(word for label in labels for word in ("--again", label))), 0.7 * trial.baseline.seconds)
    trial.finish()


def kill_prune(trial: Trial) -> None:
    trial.copy_finished()
    shutil.rmtree(trial.work / "runs")
    trial.kill(trial.start("run", "prune", "--yes"), 0.15)
    trial.finish()


def kill_export(trial: Trial) -> None:
    trial.copy_finished()
    file = trial.folder / "replies.parquet"
    trial.kill(trial.start("teacher", "ledger", "--export", str(file)), 0.2)
    if not file.exists():
        trial.expect(trial.start("teacher", "ledger", "--export", str(file)), 0)
    _import_and_rebuild(trial, file)


def kill_import(trial: Trial) -> None:
    trial.copy_finished()
    file = trial.folder / "replies.parquet"
    trial.expect(trial.start("teacher", "ledger", "--export", str(file)), 0)
    trial.kill(trial.start("teacher", "ledger", "--import", str(file), work=trial.folder / "other"), 0.2)
    _import_and_rebuild(trial, file)


def _import_and_rebuild(trial: Trial, file: Path) -> None:
    """Import the replies into another work folder, and run the recipe there without sending a request."""
    other = trial.folder / "other"
    trial.expect(trial.start("teacher", "ledger", "--import", str(file), work=other), 0)
    trial.finish("--offline", work=other)
    if trial.server.replies():
        raise Loss("an offline run sent requests")


# -- disks


def full_disk(trial: Trial) -> None:
    disk = SmallDisk(trial.folder / "disk", int(10 ** trial.rng.uniform(1.3, 3.2)))
    trial.work, trial.kills = disk.folder / "work", 1  # what is in flight when the disk is full cannot be stored
    try:
        command = trial.begin()
        if trial.rng.random() < 0.3:
            trial.kill(command, trial.baseline.seconds)
        trial.expect(command, 0, 1, -signal.SIGKILL)
        _check_message(command)
        disk.grow()
        trial.finish()
    finally:
        disk.close()


def limited_files(trial: Trial) -> None:
    if trial.rng.random() < 0.5:
        trial.copy_finished()
        shutil.rmtree(trial.rng.choice(list(trial.work.glob("steps/*"))))
    trial.kills = 1
    command = trial.begin(max_file=int(10 ** trial.rng.uniform(3.2, 5)))  # a smaller limit would cut the log with the error
    trial.expect(command, 0, 1)
    _check_message(command)
    trial.finish()


def _check_message(command: Command) -> None:
    if command.code == 1 and "run the same command again" not in command.text:
        raise Loss(f"the error does not say what to do: {command.text[-800:]}")


# -- damage


def _files(work: Path, *patterns: str) -> list[Path]:
    return sorted({file for pattern in patterns for file in work.glob(pattern) if file.is_file() and file.stat().st_size})


def flipped_bits(trial: Trial) -> None:
    trial.copy_finished()
    files = _files(trial.work, *(f"steps/*/{kind}/**/*" for kind in ("data", "verdicts", "out")))
    for file in trial.rng.sample(files, trial.rng.randint(1, 3)):
        flip(file, trial.rng.random())
    command = trial.start("run", "verify", "--repair")
    trial.expect(command, 1)
    trial.finish()
    trial.expect(trial.start("run", "verify"), 0)


def flipped_records(trial: Trial) -> None:
    """Flip bits of what describes the outputs: records, plans, summaries."""
    trial.copy_finished()
    files = _files(trial.work, "steps/*/record.json", "steps/*/own/**/*", "runs/*/*")
    for file in trial.rng.sample(files, trial.rng.randint(1, 3)):
        flip(file, trial.rng.random())
    command = trial.start("run", "verify", "--repair")
    trial.expect(command, 0, 1)
    if "delete the run's folder" in command.text:
        shutil.rmtree(trial.work / "runs")
    trial.finish()


def flipped_ledger(trial: Trial) -> None:
    """Flip bits of the ledger: the run has the same output, or an error that names the ledger."""
    trial.copy_finished()
    for _ in range(trial.rng.randint(1, 8)):
        flip(trial.work / "ledger.sqlite", trial.rng.random())
    command = trial.begin("--again", "pages")
    if command.wait():
        if "ledger" not in command.text:
            raise Loss(f"the error does not name the ledger: {command.text[-800:]}")
        shutil.copyfile(trial.baseline.work / "ledger.sqlite", trial.work / "ledger.sqlite")
        for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
            (trial.work / name).unlink(missing_ok=True)
    trial.kills = trial.baseline.replies  # a damaged key is not found: its reply is paid for again
    trial.finish()


def deleted_files(trial: Trial) -> None:
    trial.copy_finished()
    for _ in range(trial.rng.randint(1, 3)):
        files = _files(trial.work, "steps/*/*", "steps/*/*/**/*", "runs/*/*")
        folders = sorted(trial.work.glob("steps/*")) + sorted(trial.work.glob("steps/*/*/"))
        if trial.rng.random() < 0.3 and folders:
            shutil.rmtree(trial.rng.choice(folders))
        elif files:
            trial.rng.choice(files).unlink()
    trial.finish()


def truncated_files(trial: Trial) -> None:
    trial.copy_finished()
    for file in trial.rng.sample(_files(trial.work, "steps/*/*", "steps/*/data/*", "steps/*/verdicts/*", "steps/*/out/*"), 2):
        os.truncate(file, int(trial.rng.random() * file.stat().st_size))
    if trial.rng.random() < 0.5:
        trial.expect(trial.start("run", "verify", "--repair"), 0, 1)
    trial.finish()


# -- servers, and several runs


def bad_server(trial: Trial) -> None:
    for attempt in range(4):
        command = trial.begin()
        if command.wait() == 0:
            break
        if command.code != 1 or attempt == 3:
            raise Loss(f"exit code {command.code}: {command.text[-800:]}")
    trial.finish()


def bad_server_and_kills(trial: Trial) -> None:
    for _ in range(3):
        trial.kill(trial.begin(), trial.baseline.seconds)
    bad_server(trial)


def two_runs(trial: Trial) -> None:
    first = trial.begin()
    time.sleep(trial.rng.uniform(0.0, 0.5))
    second = trial.begin()
    trial.expect(first, 0)
    trial.expect(second, 0)
    trial.compare(trial.work)


def two_runs_and_a_kill(trial: Trial) -> None:
    first = trial.begin()
    time.sleep(trial.rng.uniform(0.0, 0.3))
    second = trial.begin()
    trial.kill(first, trial.baseline.seconds)
    trial.expect(second, 0)
    trial.compare(trial.work)


# -- training


def kill_trainer(trial: Trial) -> None:
    command = trial.begin()
    deadline = time.monotonic() + trial.baseline.seconds * 3
    while not list(trial.work.glob("steps/model-*/train.log")) and command.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(trial.rng.uniform(0.0, 0.5) * trial.baseline.seconds)
    children = command.children()
    if trial.rng.random() < 0.3 or not children:
        trial.kills += 1
        command.kill(group=trial.rng.random() < 0.5)
    else:
        with suppress(ProcessLookupError):
            os.kill(trial.rng.choice(children), signal.SIGKILL)
        trial.expect(command, 0, 1)
    trial.finish()


#: Kinds of trials with their shares of all trials, and whether they begin from a finished run.
KINDS: dict[str, tuple[Callable[[Trial], None], float]] = {
    "kill group": (kill_group, 4),
    "kill parent": (kill_parent, 1),
    "kill worker": (kill_worker, 1),
    "interrupt": (interrupt, 2),
    "kill while clearing": (kill_clear, 4),
    "kill prune": (kill_prune, 3),
    "kill export": (kill_export, 2),
    "kill import": (kill_import, 2),
    "full disk": (full_disk, 4),
    "limited files": (limited_files, 2),
    "flipped bits": (flipped_bits, 4),
    "flipped records": (flipped_records, 3),
    "flipped ledger": (flipped_ledger, 2),
    "deleted files": (deleted_files, 4),
    "truncated files": (truncated_files, 3),
    "bad server": (bad_server, 3),
    "bad server and kills": (bad_server_and_kills, 2),
    "two runs": (two_runs, 2),
    "two runs and a kill": (two_runs_and_a_kill, 2),
    "kill trainer": (kill_trainer, 0.2),
}


@contextmanager
def server_for(kind: str, rng: random.Random) -> Iterator[Server]:
    """Yield a server that misbehaves if the kind of trial wants it to."""
    faults = [f"{rng.uniform(0.02, 0.3):.2f}:{fault}" for fault in rng.sample(FAULTS, 3)] if "bad server" in kind else []
    server = Server(faults)
    try:
        yield server
    finally:
        server.close()
