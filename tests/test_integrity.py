"""Completed steps: what a record vouches for, what happens to damaged files, and steps that are cleared while killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import RECIPE
from test_engine import contents, executed

from textbookgen.api.errors import TextbookgenError
from textbookgen.cli import commands
from textbookgen.storage.workspace import DATA, VERDICTS, RunFolder, StepFolder, Workspace

Ran = Callable[..., RunFolder]


def step_of(folder: Path, label: str) -> StepFolder:
    (step,) = [step for step in Workspace(folder / "work").steps() if step.folder.name.startswith(f"{label}-")]
    return step


def flip(file: Path) -> None:
    """Flip one bit in the middle of a file; its size stays the same."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def test_a_record_lists_every_file_of_the_output_with_size_rows_and_digest(ran: Ran, folder: Path) -> None:
    ran()
    file = step_of(folder, "numbers").completed()
    assert file is not None
    (entry,) = file.files
    assert entry.name == "data/part-00000.parquet" and entry.rows == 25 and len(entry.sha256) == 64
    assert entry.bytes == (step_of(folder, "numbers").folder / entry.name).stat().st_size


@pytest.mark.parametrize("label", ["numbers", "echoes", "even", "half", "loud", "shards", "report"])
@pytest.mark.parametrize("damage", ["remove one", "remove all", "truncate"])
def test_missing_and_short_files_are_noticed_and_written_again(
    ran: Ran, folder: Path, label: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran()
    expected = contents(folder / "work")
    step = step_of(folder, label)
    file = step.completed()
    assert file is not None
    names = [entry.name for entry in file.files]
    for name in names if damage == "remove all" else names[:1]:
        if damage == "truncate":
            os.truncate(step.folder / name, 3)
        else:
            (step.folder / name).unlink()
    assert label in executed(ran())
    assert "is damaged and is run again" in caplog.text
    assert contents(folder / "work") == expected


def test_a_part_that_the_record_does_not_list_is_not_read(ran: Ran, folder: Path) -> None:
    ran()
    step = step_of(folder, "numbers")
    shutil.copyfile(step.part(DATA, 0), step.part(DATA, 1))
    assert executed(ran()) == ["numbers"]
    assert len(step.parts(DATA)) == 1


def test_a_damaged_model_is_refused_rather_than_trained_again(ran: Ran, folder: Path) -> None:
    ran()
    step = step_of(folder, "model")
    (step.out / "checkpoint.json").unlink()
    with pytest.raises(TextbookgenError, match=r"damaged: out/checkpoint\.json is missing") as caught:
        ran()
    assert "--again model" in str(caught.value.diagnostics[0].hint)


@pytest.mark.parametrize(("label", "stage"), [("loud", "pack"), ("shards", "train"), ("model", "report")])
def test_a_flipped_bit_is_noticed_before_packing_training_and_evaluating(
    ran: Ran, folder: Path, label: str, stage: str
) -> None:
    ran()
    step = step_of(folder, label)
    file = step.completed()
    assert file is not None
    flip(max((step.folder / entry.name for entry in file.files), key=lambda path: path.stat().st_size))
    readers = {"pack": "shards", "train": "model", "report": "report"}
    with pytest.raises(TextbookgenError, match="SHA-256 is not the recorded one"):
        ran(rerun=[readers[stage]])


def test_verify_finds_a_flipped_bit_and_repair_writes_the_file_again(ran: Ran, folder: Path) -> None:
    ran()
    expected = contents(folder / "work")
    work = ["--work", str(folder / "work")]
    assert CliRunner().invoke(commands, ["run", "verify", *work]).exit_code == 0
    step = step_of(folder, "echoes")
    flip(step.part(DATA, 0))
    result = CliRunner().invoke(commands, ["run", "verify", *work])
    assert result.exit_code == 1 and "data/part-00000.parquet has changed" in result.output
    assert CliRunner().invoke(commands, ["run", "verify", "--repair", *work]).exit_code == 1
    ran()
    assert contents(folder / "work") == expected
    assert CliRunner().invoke(commands, ["run", "verify", *work]).exit_code == 0


def test_steps_run_again_when_an_input_was_written_anew_with_other_content(ran: Ran, folder: Path) -> None:
    """A trainer's checkpoint differs from run to run (seconds, for one), so what read the old one is not reused."""
    ran()
    step = step_of(folder, "model")
    before = step.completed()
    ran(rerun=["model"])
    after = step.completed()
    assert before is not None and after is not None
    report = step_of(folder, "report").completed()
    assert report is not None and report.inputs["model"] == after.digest


@pytest.mark.parametrize("operation", ["clear", "remove"])
@pytest.mark.parametrize("survivors", [0, 1, 2, 3])
def test_a_step_that_is_killed_while_it_is_cleared_is_incomplete(
    ran: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch, operation: str, survivors: int
) -> None:
    """Whatever was deleted before the kill, the record went first."""
    ran()
    expected = contents(folder / "work")
    step = step_of(folder, "half")
    deleted: list[object] = []

    def killed(self: object, *args: object, **kwargs: object) -> None:
        if len(deleted) == survivors:
            raise KeyboardInterrupt
        deleted.append(self)
        (os.unlink if Path(str(self)).is_file() else shutil._rmtree)(str(self))  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "_rmtree", shutil.rmtree, raising=False)
    monkeypatch.setattr(shutil, "rmtree", killed)
    try:
        getattr(step, operation)()
    except KeyboardInterrupt:
        assert step.completed() is None
    monkeypatch.undo()
    ran()
    assert contents(folder / "work") == expected


def test_prune_spares_the_steps_of_a_run_in_progress(ran: Ran, folder: Path) -> None:
    run = ran()
    (run.folder / "run.json").unlink()
    workspace = Workspace(folder / "work")
    with run.active():
        assert workspace.unused_steps() == []
    assert len(workspace.unused_steps()) == 8


def test_steps_of_a_plugin_whose_code_has_changed_are_named(
    ran: Ran, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran()
    assert executed(ran()) == [] and "has changed since" not in caplog.text
    monkeypatch.setattr("textbookgen.run.integrity.source_digest", lambda kind: "other")
    assert executed(ran()) == []
    assert "the code of not installed 0 has changed since step 'loud' was completed" in caplog.text
    assert "--again loud" in caplog.text


def test_the_source_of_a_plugin_is_all_of_its_package_and_of_a_built_in_stage_its_own_file(tmp_path: Path) -> None:
    package = tmp_path / "changing"
    package.mkdir()
    (package / "__init__.py").write_text("class Stage: pass\n", encoding="utf-8")
    (package / "helper.py").write_text("x = 1\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import changing; "
        "from textbookgen.recipe.plugin_source import source_digest; print(source_digest(changing.Stage)); "
        "from textbookgen.builtin.stages.mix import Mix; print(source_digest(Mix))"
    )

    def digests() -> list[str]:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    before = digests()
    (package / "helper.py").write_text("x = 2\n", encoding="utf-8")
    after = digests()
    assert before[0] != after[0] and before[1] == after[1] and len(before[1]) == 64


@pytest.mark.parametrize("kind", [DATA, VERDICTS])
@pytest.mark.parametrize("recorded", [True, False])
def test_data_and_verdicts_of_a_part_are_written_again_together(ran: Ran, folder: Path, kind: str, recorded: bool) -> None:
    text = RECIPE.replace("count = 20", 'count = 20\naccept = [{ use = "sample", share = 0.5 }]')
    ran(text)
    expected = contents(folder / "work")
    step = step_of(folder, "echoes")
    assert len(step.parts(VERDICTS)) == len(step.parts(DATA)) > 1
    step.part(kind, 1).unlink()
    if not recorded:
        (step.folder / "record.json").unlink()
    ran(text)
    assert contents(folder / "work") == expected
