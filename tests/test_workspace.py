"""The workspace: order of parts, records of steps and runs, names of runs, locks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.provenance.lineage import Lineage
from textbookgen.storage.records import RunPlan, RunSummary, StepEntry, StepFile
from textbookgen.storage.workspace import DATA, VERDICTS, RunFolder, StepFolder, Workspace, part_number

Ran = Callable[..., RunFolder]
RECORD = StepRecord(rows_in=3, rows_out=2, dropped={"short": 1}, cost_usd=0.5, notes=("one", "two"))


def test_parts_are_sorted_by_number_beyond_five_digits(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    numbers = [100_000, 99_999, 7, 1_000_000, 100_001]
    for number in numbers:
        write_frame(folder.part(DATA, number), pl.DataFrame({"id": [str(number)]}))
    assert [part_number(file) for file in folder.parts(DATA)] == sorted(numbers)


def test_documents_and_verdicts_of_100_million_rows_stay_aligned(tmp_path: Path) -> None:
    """Verdict part n belongs to data part n, also where the sixth digit begins and where earlier parts are missing."""
    workspace = Workspace(tmp_path)
    entry = StepEntry("made", "toy/echo", "toy 1", "f" * 64, "made-ffffffffffff", ("Documents",), {}, {})
    workspace.create_run("r", "", RunPlan("r", "1", 0, "r.toml", (entry,)))
    folder = workspace.step(entry.address)
    for number in (99_999, 100_000):
        write_frame(folder.part(DATA, number), pl.DataFrame({"id": [f"{number}-a", f"{number}-b"]}))
        keep = pl.DataFrame({"id": [f"{number}-a", f"{number}-b"], "keep": [False, True], "reason": ["x", None]})
        write_frame(folder.part(VERDICTS, number), keep)
    documents = [part.read()["id"].to_list() for part in Lineage(workspace).parts("made")]
    assert documents == [["99999-b"], ["100000-b"]]


def test_a_step_is_complete_once_its_record_is_written(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path)
    assert folder.record() is None
    folder.finish(StepFile("a", "toy/a", "toy 1", "f" * 64, RECORD))
    assert folder.record() == RECORD
    with folder.lock(), pytest.raises(WorkspaceError, match="another run is processing"), folder.lock():
        pass
    folder.clear()
    assert folder.record() is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("record.json", "", "invalid"),
        ("record.json", '{"label": "a"', "invalid"),
        ("record.json", '{"label": "a", "use": "b", "release": "c", "fingerprint": "d"}', "record: Field required"),
        (
            "record.json",
            '{"label": "a", "use": "b", "release": "c", "fingerprint": "d", "record": {"rows_in": "many"}}',
            "rows_in",
        ),
    ],
)
def test_a_damaged_step_record_is_an_error_that_names_the_file(tmp_path: Path, file: str, content: str, problem: str) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(WorkspaceError, match=problem) as caught:
        StepFolder(tmp_path).record()
    assert caught.value.place == str(tmp_path / file)
    assert "delete the step's folder" in caught.value.hint


@pytest.mark.parametrize("file", ["plan.json", "run.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"recipe": "r", "steps": 3}', b"\xff\xfe"])
def test_a_damaged_run_record_is_an_error_that_names_the_file(tmp_path: Path, file: str, content: str | bytes) -> None:
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    run = RunFolder(tmp_path)
    with pytest.raises(WorkspaceError, match="incomplete or invalid") as caught:
        _ = run.plan() if file == "plan.json" else run.summary()
    assert caught.value.place == str(path)


def test_records_survive_writing_and_reading(ran: Ran) -> None:
    run = ran()
    plan, summary = run.plan(), run.summary()
    assert plan.steps[1].teacher is not None and plan.steps[1].teacher.stand_in
    assert plan.steps[3].inputs == {"from": ("even", "echoes")}
    assert plan.steps[6].output == ("HashCheckpoint", "Checkpoint")
    run.write_summary(summary)
    assert run.summary() == summary
    raw = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    assert list(raw["steps"][0])[:4] == ["label", "use", "address", "cached"], "what identifies a step comes first"


def test_a_run_without_a_summary_has_not_ended(tmp_path: Path) -> None:
    run = Workspace(tmp_path).create_run("r", "", RunPlan("r", "1", 0, "r.toml", ()))
    assert not run.ended
    with pytest.raises(WorkspaceError, match="has not ended"):
        run.summary()
    run.write_summary(RunSummary("r", 1.0, "", ()))
    assert run.ended


def test_runs_are_found_by_name_start_or_end(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    plan = RunPlan("r", "1", 0, "r.toml", ())
    first, second = (workspace.create_run(name, "", plan) for name in ("one", "two"))
    assert workspace.run().name == second.name
    assert workspace.run("one").name == first.name
    assert workspace.run(first.name).name == first.name
    assert [workspace.create_run("one", "", plan).name != first.name for _ in range(3)] == [True] * 3
    with pytest.raises(WorkspaceError, match="no run matches 'three'"):
        workspace.run("three")
    with pytest.raises(WorkspaceError, match="there are no runs"):
        Workspace(tmp_path / "other").run()


def test_files_with_replies_are_readable_by_their_owner_only(ran: Ran, folder: Path) -> None:
    ran()
    work = folder / "work"
    assert work.stat().st_mode & 0o077 == 0
    assert [file.name for file in work.glob("ledger.sqlite*") if file.stat().st_mode & 0o077] == []


def test_a_work_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WorkspaceError, match="work folder cannot be created"):
        Workspace(tmp_path / "file" / "work").create()
