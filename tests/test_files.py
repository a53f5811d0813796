"""Files are complete or absent, and what a killed process leaves behind is removed when the step is complete."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.events import StepRecord
from textbookgen.api.files import atomic_path, remove_temporary_files, write_frame, write_json
from textbookgen.storage.records import StepFile
from textbookgen.storage.workspace import Workspace


def test_a_file_is_replaced_only_when_it_is_complete(tmp_path: Path) -> None:
    file = tmp_path / "new" / "card.json"
    write_json(file, {"a": "ä"}, sync=True)
    assert file.read_text(encoding="utf-8") == '{\n  "a": "ä"\n}\n'
    with pytest.raises(ZeroDivisionError), atomic_path(file) as temporary:
        temporary.write_text("incomplete", encoding="utf-8")
        1 / 0  # noqa: B018
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": "ä"}
    assert [path.name for path in file.parent.iterdir()] == ["card.json"]


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "text": ["x", None]})
    write_frame(tmp_path / "one.parquet", frame)
    write_frame(tmp_path / "two.parquet", frame.clone())
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_temporary_files_of_killed_processes_are_removed_when_a_step_is_complete(tmp_path: Path) -> None:
    step = Workspace(tmp_path).step("echoes-0123456789ab")
    write_frame(step.part("data", 0), pl.DataFrame({"id": ["a"]}))
    step.out.mkdir(parents=True)
    (step.out / ".gitignore").write_text("", encoding="utf-8")
    with pytest.raises(KeyError), atomic_path(step.part("data", 1)) as temporary:
        leftover = temporary.with_name(temporary.name.replace(".tmp", "9.tmp"))  # as another process would call it
        leftover.write_text("incomplete", encoding="utf-8")
        raise KeyError
    assert leftover.exists()
    step.finish(StepFile("echoes", "toy/echo", "toy 1", "0123456789ab", StepRecord()))
    assert not leftover.exists()
    assert step.record() == StepRecord()
    assert {file.name for file in step.folder.rglob("*") if file.is_file()} == {
        "part-00000.parquet",
        ".gitignore",
        "record.json",
    }
    remove_temporary_files(tmp_path / "absent")
