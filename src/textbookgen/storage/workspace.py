"""The workspace: folders of steps and runs, and the names of all files in them.

Every file is written under a temporary name and renamed, so a file that exists is complete. A step's record is written last
and removed first: it exists if and only if the step is complete. It vouches for name, size and digest of every file of the
output (see `textbookgen.storage.manifest`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import remove_temporary_files, write_text
from textbookgen.api.full_disks import disk_full, writing
from textbookgen.storage.manifest import Damage, is_parquet, make_manifest
from textbookgen.storage.records import RunPlan, RunSummary, StepFile, read_record, write_record

DATA, VERDICTS, SKETCHES, FAILURES = "data", "verdicts", "sketches", "failures"


def part_number(file: Path) -> int:
    """Return the number in the name of a part: 7 for `part-00007.parquet`."""
    return int(file.stem.removeprefix("part-"))


class StepFolder:
    """The folder of one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def out(self) -> Path:
        """The folder of shards, checkpoints and reports."""
        return self.folder / "out"

    @property
    def own(self) -> Path:
        """The stage's private folder, for what it prepares before it processes parts."""
        return self.folder / "own"

    def part(self, kind: str, number: int) -> Path:
        """Return the parquet file of one part; `kind` is data, verdicts, sketches or failures."""
        return self.folder / kind / f"part-{number:05d}.parquet"

    def parts(self, kind: str) -> list[Path]:
        """Return the existing parts of this kind, by number."""
        return sorted((self.folder / kind).glob("part-*.parquet"), key=part_number)

    def completed(self) -> StepFile | None:
        """Return the step's record with the files that it vouches for; None if the step is not complete.

        Raises:
            WorkspaceError: record.json is damaged.
        """
        file = self.folder / "record.json"
        if not file.exists():
            return None
        return read_record(file, StepFile, hint="delete the step's folder and run the recipe again: replies are cached")

    def record(self) -> StepRecord | None:
        """Return the figures of the step; None if it is not complete.

        Raises:
            WorkspaceError: record.json is damaged.
        """
        file = self.completed()
        return None if file is None else file.record

    def finish(self, step: StepFile) -> StepFile:
        """Remove temporary files of runs that were killed, and write record.json, which marks the step as complete.

        Returns:
            The record as it was written, with an entry for each file of the output.
        """
        remove_temporary_files(self.folder)
        step = replace(step, files=make_manifest(self.folder))
        write_record(self.folder / "record.json", step, sync=True)
        return step

    def clear(self) -> None:
        """Delete everything that the step has written; replies stay in the ledger.

        The record goes first: if the process is killed on the way, the step is incomplete and is run again.
        """
        (self.folder / "record.json").unlink(missing_ok=True)
        for entry in self.folder.iterdir() if self.folder.exists() else ():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def discard_unreadable_parts(self) -> list[Path]:
        """Delete parts of an incomplete step that are not parquet files, and return them.

        A part is renamed into its place when it is whole, so only a power failure or a defect of the disk leaves one.
        """
        unreadable = [
            file for kind in (DATA, VERDICTS, SKETCHES, FAILURES) for file in self.parts(kind) if not is_parquet(file)
        ]
        for file in unreadable:
            self._discard(file)
        return unreadable

    def discard_parts_without_verdicts(self) -> None:
        """Delete parts of data without verdicts, in a step that writes both."""
        for file in self.parts(DATA):
            if not self.part(VERDICTS, part_number(file)).exists():
                self._discard(file)

    def discard(self, damage: Iterable[Damage]) -> None:
        """Make the step incomplete and delete its damaged files, so that only these are written again.

        Data, verdicts and failures of the same number are one part: it is deleted as a whole.
        """
        (self.folder / "record.json").unlink(missing_ok=True)
        for item in damage:
            self._discard(self.folder / item.name)

    def _discard(self, file: Path) -> None:
        """Delete a file, and if it belongs to a part, the data first, which marks the part as complete."""
        kinds = (DATA, VERDICTS, FAILURES)
        if file.parent.parent == self.folder and file.parent.name in kinds and file.match("part-*.parquet"):
            for kind in kinds:
                self.part(kind, part_number(file)).unlink(missing_ok=True)
        file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder.

        Raises:
            WorkspaceError: another run is processing the step.
        """
        with self.lock():
            self.clear()
            shutil.rmtree(self.folder)

    @contextmanager
    def lock(self, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the step's lock, so that two runs never process the step at the same time.

        Args:
            waiting: called every half second while another run holds the lock; without it, that is an error.

        Raises:
            WorkspaceError: another run is processing the step, and `waiting` is None.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / "lock", waiting, "another run is processing this step"):
            yield


class RunFolder:
    """The folder of one run: the recipe, the plan, the event log and the report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The start time (UTC) and the name of the recipe, such as `20260822-101500-phi1`."""
        return self.folder.name

    @property
    def event_log(self) -> Path:
        """The events of the run, one JSON object per line."""
        return self.folder / "events.jsonl"

    @property
    def report(self) -> Path:
        """The report in Markdown."""
        return self.folder / "report.md"

    def plan(self) -> RunPlan:
        """Return what the run was asked to do.

        Raises:
            WorkspaceError: plan.json is missing or damaged.
        """
        return read_record(self.folder / "plan.json", RunPlan, hint=_DELETE_RUN)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Mark the run as in progress while the block runs: `is_active` is then true in every process."""
        with _locked(self.folder / "lock", lambda: None, ""):  # others hold it for a moment, to see whether it is free
            yield

    @property
    def is_active(self) -> bool:
        """Whether a process is executing the run."""
        try:
            with _locked(self.folder / "lock", None, ""):
                return False
        except WorkspaceError:
            return True

    @property
    def ended(self) -> bool:
        """Whether the run has ended, with or without an error, and so has a summary."""
        return (self.folder / "run.json").exists()

    def summary(self) -> RunSummary:
        """Return the figures of the run.

        Raises:
            WorkspaceError: the run has not ended, or run.json is damaged.
        """
        if not self.ended:
            raise WorkspaceError("the run has not ended", place=str(self.folder))
        return read_record(self.folder / "run.json", RunSummary, hint=_DELETE_RUN)

    def write_summary(self, summary: RunSummary) -> None:
        """Write run.json."""
        write_record(self.folder / "run.json", summary)


class Workspace:
    """The folder that holds all steps, runs and replies."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self) -> None:
        """Create the folder unless it exists, readable by its owner only: it will hold replies and what was made of them.

        Raises:
            WorkspaceError: it cannot be created.
        """
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            full = disk_full(error, self.root)
            if full is not None:
                raise full from error
            problem = f"the work folder cannot be created: {error.strerror or error}"
            raise WorkspaceError(problem, place=str(self.root), hint="name another folder with `--work DIR`") from error

    @property
    def ledger(self) -> Path:
        """The database of replies."""
        return self.root / "ledger.sqlite"

    def step(self, address: str) -> StepFolder:
        """Return the folder of the step at this address."""
        return StepFolder(self.root / "steps" / address)

    def steps(self) -> list[StepFolder]:
        """Return all step folders, complete or not, by address."""
        folder = self.root / "steps"
        return [StepFolder(entry) for entry in sorted(folder.iterdir()) if entry.is_dir()] if folder.exists() else []

    def create_run(self, name: str, recipe: str, plan: RunPlan) -> RunFolder:
        """Create the folder of a new run, with a copy of the recipe and the plan.

        Raises:
            WorkspaceError: there are a thousand runs of this name that started in the same second.
        """
        self.create()
        started = datetime.now(UTC)
        for attempt in range(1000):
            suffix = f"-{attempt}" if attempt else ""
            folder = self.root / "runs" / f"{started:%Y%m%d-%H%M%S}-{name}{suffix}"
            try:
                with writing(folder):
                    folder.mkdir(parents=True)
            except FileExistsError:
                continue
            write_text(folder / "recipe.toml", recipe)
            write_record(folder / "plan.json", plan)
            return RunFolder(folder)
        raise WorkspaceError("too many runs started in the same second", place=str(self.root), hint="try again")

    def runs(self) -> list[RunFolder]:
        """Return all runs, oldest first."""
        folder = self.root / "runs"
        entries = sorted(folder.iterdir()) if folder.exists() else []
        return [RunFolder(entry) for entry in entries if (entry / "plan.json").exists()]

    def unused_steps(self) -> list[tuple[StepFolder, int]]:
        """Return the step folders that no finished run and no run in progress uses, with their sizes in bytes."""
        using = [run for run in self.runs() if (run.ended and not run.summary().error) or (not run.ended and run.is_active)]
        used = {step.address for run in using for step in run.plan().steps}
        unused = [step for step in self.steps() if step.folder.name not in used]
        return [(step, sum(file.stat().st_size for file in step.folder.rglob("*") if file.is_file())) for step in unused]

    def run(self, name: str = "") -> RunFolder:
        """Return the latest run, or the latest whose name starts with `name` or ends with `-name`.

        Raises:
            WorkspaceError: there is none.
        """
        runs = self.runs()
        matches = [run for run in runs if run.name == name] or [
            run for run in runs if run.name.startswith(name) or run.name.endswith(f"-{name}")
        ]
        if not matches:
            problem = f"no run matches '{name}'" if name else "there are no runs in this folder"
            raise WorkspaceError(problem, place=str(self.root), hint="`textbookgen run list` lists the runs of a --work folder")
        return matches[-1]


_LOCK_INTERVAL = 0.5  # seconds between two attempts
_DELETE_RUN = "delete the run's folder: its steps and replies are stored elsewhere"


@contextmanager
def _locked(file: Path, waiting: Callable[[], None] | None, problem: str) -> Iterator[None]:
    """Hold a lock file; wait for it if `waiting` is given, which is called every half second."""
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    while True:
        try:
            with writing(file):
                lock.acquire(timeout=0 if waiting is None else _LOCK_INTERVAL)
            break
        except Timeout as error:
            if waiting is None:
                raise WorkspaceError(problem, place=str(file.parent), hint="wait for that run, or stop it") from error
            waiting()
    try:
        yield
    finally:
        lock.release()
