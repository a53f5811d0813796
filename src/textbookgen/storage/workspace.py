"""The workspace: step folders, their parts, records and locks, and the folders of runs; the only room that names files.

A file that exists is whole: it is written beside its place and renamed. A step's record is written last, so it is there
if and only if the step is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_text

DATA, VERDICTS, SKETCHES, FAILURES = "data", "verdicts", "sketches", "failures"


class StepFolder:
    """The folder of one step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def out(self) -> Path:
        """Where shards, checkpoints and reports are."""
        return self.folder / "out"

    @property
    def own(self) -> Path:
        """The stage's own place for what it learns before its parts are worked."""
        return self.folder / "own"

    def part(self, kind: str, number: int) -> Path:
        """The parquet file of one part: `kind` is data, verdicts, sketches or failures."""
        return self.folder / kind / f"part-{number:05d}.parquet"

    def parts(self, kind: str) -> list[Path]:
        """The parts of this kind that are there, in order."""
        return sorted((self.folder / kind).glob("part-*.parquet"))

    def record(self) -> StepRecord | None:
        """What the step came to, if it is done."""
        told = self.told()
        return None if told is None else StepRecord(**{**told["record"], "notes": tuple(told["record"]["notes"])})

    def told(self) -> dict[str, Any] | None:
        """All of record.json, if the step is done."""
        file = self.folder / "record.json"
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None

    def finish(self, record: StepRecord, facts: dict[str, Any]) -> None:
        """Writes the record: from now on the step is done."""
        write_text(self.folder / "record.json", json.dumps({**facts, "record": asdict(record)}, indent=1) + "\n")

    def clear(self) -> None:
        """Throws away all that the step has written; replies stay in the ledger."""
        for entry in self.folder.iterdir() if self.folder.exists() else ():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def remove(self) -> None:
        """Removes the folder, unless a run is working it."""
        with self.lock():
            self.clear()
        shutil.rmtree(self.folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the step for this process, so that two runs never work it at once.

        Raises:
            WorkspaceError: another run works it.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
        except Timeout as error:
            raise WorkspaceError(
                "another run is working this step", place=str(self.folder), hint="wait for it, or stop it"
            ) from error


class RunFolder:
    """The folder of one run: the recipe, the plan, the journal and the report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """When it was started and what it was called, such as `20260822-101500-phi1`."""
        return self.folder.name

    @property
    def journal(self) -> Path:
        """One event a line."""
        return self.folder / "events.jsonl"

    @property
    def report(self) -> Path:
        """What people read."""
        return self.folder / "report.md"

    def plan(self) -> dict[str, Any]:
        """Every option spelt out, plugins and versions, fingerprints."""
        return dict(json.loads((self.folder / "plan.json").read_text(encoding="utf-8")))

    def summary(self) -> dict[str, Any] | None:
        """The figures of the run, once it ended."""
        file = self.folder / "run.json"
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


class Workspace:
    """The folder that a recipe works in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def ledger(self) -> Path:
        """Every reply ever paid for."""
        return self.root / "ledger.sqlite"

    def step(self, address: str) -> StepFolder:
        """The folder of the step at this address."""
        return StepFolder(self.root / "steps" / address)

    def steps(self) -> list[StepFolder]:
        """Every step there is, done or not, by address."""
        folder = self.root / "steps"
        return [StepFolder(entry) for entry in sorted(folder.iterdir()) if entry.is_dir()] if folder.exists() else []

    def begin(self, name: str, recipe: str, plan: dict[str, Any]) -> RunFolder:
        """A new run's folder, with the recipe byte for byte and the plan."""
        started = datetime.now(UTC)
        for attempt in range(1000):
            suffix = f"-{attempt}" if attempt else ""
            folder = self.root / "runs" / f"{started:%Y%m%d-%H%M%S}-{name}{suffix}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            (folder / "recipe.toml").write_bytes(recipe.encode())
            write_text(folder / "plan.json", json.dumps(plan, indent=1) + "\n")
            return RunFolder(folder)
        raise WorkspaceError("a thousand runs began in this second", place=str(self.root))

    def runs(self) -> list[RunFolder]:
        """Every run, oldest first."""
        folder = self.root / "runs"
        return (
            [RunFolder(entry) for entry in sorted(folder.iterdir()) if (entry / "plan.json").exists()]
            if folder.exists()
            else []
        )

    def unused(self) -> list[tuple[StepFolder, int]]:
        """Step folders that no finished run's plan names, with their size in bytes."""
        used = {
            step["address"]
            for run in self.runs()
            if (run.summary() or {"error": "not finished"})["error"] == ""
            for step in run.plan()["steps"]
        }
        left = [step for step in self.steps() if step.folder.name not in used]
        return [(step, sum(file.stat().st_size for file in step.folder.rglob("*") if file.is_file())) for step in left]

    def run(self, name: str = "") -> RunFolder:
        """The run whose name begins so, or the latest.

        Raises:
            WorkspaceError: there is none.
        """
        runs = self.runs()
        result = [run for run in runs if run.name == name] or [
            run for run in runs if run.name.startswith(name) or run.name.endswith(f"-{name}")
        ]
        if not result:
            problem = f"no run is called '{name}'" if name else "there is no run yet"
            raise WorkspaceError(problem, place=str(self.root), hint="`textbookgen run list` shows the runs of a --work folder")
        return result[-1]
