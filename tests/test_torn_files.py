"""Files that a power failure or a defect left incomplete: the step is run again, or the error names the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_engine import contents, executed
from test_integrity import step_of

from textbookgen.api.errors import TextbookgenError
from textbookgen.cli import commands
from textbookgen.storage.workspace import DATA, VERDICTS, RunFolder, Workspace
from textbookgen.training.metrics import MetricsWriter, parse_metrics

Ran = Callable[..., RunFolder]
TORN = [b"", b"{", b'{"label": "numb', b"\x00" * 300, b"[]", b'"x"', b"\xff\xfe{}"]


def call(*words: str, folder: Path) -> tuple[int, str]:
    result = CliRunner().invoke(commands, [*words, "--work", str(folder / "work")])
    assert result.exception is None or isinstance(result.exception, SystemExit | TextbookgenError)
    return result.exit_code, result.output + str(result.exception or "")


@pytest.mark.parametrize("content", TORN[:4])
@pytest.mark.parametrize("label", ["echoes", "half", "shards", "report"])
def test_a_step_with_a_torn_record_is_run_again(
    ran: Ran, folder: Path, label: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ran()
    expected = contents(folder / "work")
    (step_of(folder, label).folder / "record.json").write_bytes(content)
    assert label in executed(ran())
    assert f"step '{label}' is run again: its record.json is incomplete or invalid" in caplog.text
    assert contents(folder / "work") == expected


def test_a_model_with_a_torn_record_is_refused(ran: Ran, folder: Path) -> None:
    ran()
    os.truncate(step_of(folder, "model").folder / "record.json", 20)
    with pytest.raises(TextbookgenError, match="incomplete or invalid") as caught:
        ran()
    assert "--again model" in str(caught.value) and "record.json" in str(caught.value)
    assert "model" in executed(ran(rerun=["model"]))


def test_verify_names_a_torn_record_and_repairs_it(ran: Ran, folder: Path) -> None:
    ran()
    expected = contents(folder / "work")
    os.truncate(step_of(folder, "half").folder / "record.json", 20)
    code, text = call("run", "verify", folder=folder)
    assert code == 1 and "damaged: record.json is incomplete or invalid" in text
    code, text = call("run", "verify", "--repair", folder=folder)
    assert code == 1 and "will be written again" in text
    ran()
    assert call("run", "verify", folder=folder)[0] == 0
    assert contents(folder / "work") == expected


@pytest.mark.parametrize("content", TORN)
def test_one_torn_summary_does_not_hide_the_other_runs(ran: Ran, folder: Path, content: bytes) -> None:
    first, second = ran(), ran()
    (first.folder / "run.json").write_bytes(content)
    code, text = call("run", "list", folder=folder)
    assert code == 0 and "damaged" in text and second.name in text
    code, text = call("run", "show", first.name, folder=folder)
    assert code == 1 and "run.json" in text
    code, text = call("run", "prune", "--yes", folder=folder)
    assert code == 1 and "run.json" in text, "what a run used is unknown, so nothing is deleted"
    assert call("run", "show", second.name, folder=folder)[0] == 0


@pytest.mark.parametrize("content", TORN[:4])
@pytest.mark.parametrize(("label", "name"), [("shards", "manifest.json"), ("model", "checkpoint.json")])
def test_a_torn_card_is_named(ran: Ran, folder: Path, label: str, name: str, content: bytes) -> None:
    run = ran()
    step = step_of(folder, label)
    (file,) = [file for file in step.out.iterdir() if file.name in {name, "shards.json", "card.json"}]
    file.write_bytes(content)
    code, text = call("run", "verify", run.name, folder=folder)
    assert code == 1 and file.name in text
    if label == "model":
        with pytest.raises(TextbookgenError, match=file.name):
            ran()
    else:
        assert label in executed(ran())


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\x00" * 500])
def test_unreadable_parts_of_an_interrupted_step_are_written_again(
    ran: Ran, folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ran()
    expected = contents(folder / "work")
    for label, kind in (("numbers", DATA), ("echoes", DATA), ("even", VERDICTS), ("loud", DATA)):
        step = step_of(folder, label)
        (step.folder / "record.json").unlink()
        step.part(kind, 0).write_bytes(content)
    ran()
    assert "cannot be read and are written again: part-00000.parquet" in caplog.text
    assert contents(folder / "work") == expected


def test_metrics_with_torn_lines_are_continued(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1, "loss": 3}\n\x00\x00\n{"step": 2, "lo\n[]\n{"step": 3, "loss": 2}\n{"step": 9}\n{"step": 4')
    writer = MetricsWriter(tmp_path, keep_until=5)
    writer.add({"step": 6, "loss": 1.0, "rate": None})
    writer.close()
    lines = [parse_metrics(line) for line in file.read_bytes().splitlines()]
    assert [line and line["step"] for line in lines] == [1, 3, 6]


def test_a_run_folder_without_a_plan_is_not_a_run(ran: Ran, folder: Path) -> None:
    ran()
    (folder / "work" / "runs" / "20260101-000000-cut").mkdir()
    assert len(Workspace(folder / "work").runs()) == 1
