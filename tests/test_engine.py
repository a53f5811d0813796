from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.errors import RecipeError, TextbookgenError, TrainerError
from textbookgen.api.events import Event, StageStarted
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]


def worked(run: RunFolder) -> list[str]:
    """The labels of the steps that were worked, not kept."""
    summary = run.summary()
    assert summary is not None
    return [step["label"] for step in summary["steps"] if not step["cached"]]


def contents(work: Path) -> dict[str, bytes]:
    """All data, verdicts and shards of a workspace, byte for byte."""
    kinds = ("data", "verdicts", "out")
    files = [file for file in work.glob("steps/*/*/*") if file.parent.name in kinds and file.suffix in (".parquet", ".txt")]
    return {str(file.relative_to(work)): file.read_bytes() for file in sorted(files)}


def test_a_run_goes_through_every_family(ran: Ran) -> None:
    summary = ran().summary()
    assert summary is not None
    assert summary["error"] == ""
    steps = {step["label"]: step for step in summary["steps"]}
    assert steps["even"]["rows_in"] == 25
    assert steps["even"]["rows_out"] == 13
    assert steps["even"]["dropped"] == {"no even": 12}
    assert steps["half"]["rows_in"] == 33
    assert steps["echoes"]["requests"] == 20
    assert steps["shards"]["rows_out"] == steps["loud"]["rows_out"] == steps["half"]["rows_out"] == 16
    assert summary["models"]["model"]["bits_per_byte"] == 1.5
    assert summary["models"]["model"]["pass_at_1"]["n"] == 64


def test_again_nothing_is_worked_and_nothing_is_asked(ran: Ran) -> None:
    assert len(worked(ran())) == 8
    assert worked(ran()) == []


def test_only_what_depends_on_a_changed_option_is_worked_again(ran: Ran) -> None:
    ran()
    assert worked(ran(sets={"stage.loud.mark": "?"})) == ["loud", "shards", "model", "report"]
    assert worked(ran(sets={"stage.echoes.max_failures": 0.5, "teacher.parrot.max_parallel": 1})) == []


def test_raising_count_asks_only_for_what_is_new(ran: Ran) -> None:
    ran()
    summary = ran(sets={"stage.echoes.count": 24}).summary()
    assert summary is not None
    (echoes,) = [step for step in summary["steps"] if step["label"] == "echoes"]
    assert (echoes["requests"], echoes["rows_out"]) == (4, 24)


def test_working_a_step_again_asks_nothing_twice(ran: Ran) -> None:
    ran()
    summary = ran(again=frozenset({"echoes"})).summary()
    assert summary is not None
    assert [(step["label"], step["requests"]) for step in summary["steps"] if not step["cached"]] == [("echoes", 0)]


def test_offline_everything_comes_from_the_ledger(ran: Ran, folder: Path) -> None:
    ran()
    before = contents(folder / "work")
    for record in (folder / "work" / "steps").glob("*/record.json"):
        record.unlink()
    for part in (folder / "work" / "steps").glob("*/*/part-*.parquet"):
        part.unlink()
    ran(offline=True)
    assert contents(folder / "work") == before
    with pytest.raises(TextbookgenError, match="the ledger has no reply"):
        ran(sets={"stage.echoes.seed": 9, "stage.echoes.max_failures": 0.0}, offline=True)


@pytest.mark.parametrize("parallel", [1, 3, 64])
def test_how_many_are_asked_at_once_changes_no_byte(
    ran: Ran, folder: Path, parallel: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran(sets={"teacher.parrot.max_parallel": parallel})
    found = contents(folder / "work")
    other = tmp_path_factory.mktemp("other")
    (folder / "work").rename(other / "work")
    ran(sets={"teacher.parrot.max_parallel": 7})
    assert contents(folder / "work") == found


def test_every_row_has_our_columns(ran: Ran, folder: Path) -> None:
    ran()
    (file,) = (folder / "work" / "steps").glob("echoes-*/data/part-00000.parquet")
    rows = pl.read_parquet(file)
    assert rows.columns == ["id", "text", "kind", "step", "parents", "reply", "draw", "toy.words"]
    assert rows["kind"].unique().to_list() == ["echo"]
    assert rows["id"].n_unique() == 20
    ledger = Ledger(Workspace(folder / "work").ledger)
    entry = ledger.entry(rows["reply"][0])
    ledger.close()
    assert entry is not None
    assert entry.reply.text == rows["text"][0]


def test_a_failing_trainer_says_why_and_where(ran: Ran) -> None:
    with pytest.raises(TrainerError, match=r"exit code 1\n +shards.txt\n +the loss is not a number") as caught:
        ran(sets={"stage.model.fails": True})
    assert ": [stage.model]" in caught.value.place


def test_a_run_that_stopped_keeps_what_was_done(ran: Ran) -> None:
    with pytest.raises(TrainerError):
        ran(sets={"stage.model.fails": True})
    assert worked(ran()) == ["model", "report"]


def test_two_stages_with_the_same_documents_cannot_be_merged(ran: Ran) -> None:
    twice = """
[recipe]
name = "twice"
[stage.one]
use = "toy/numbers"
[stage.two]
use = "toy/numbers"
[stage.both]
use = "toy/shout"
from = ["one", "two"]
"""
    with pytest.raises(TextbookgenError, match="'one' and 'two' hold the same document"):
        ran(twice)


def test_an_observer_that_fails_harms_nobody(ran: Ran) -> None:
    seen: list[str] = []

    def broken(event: Event) -> None:
        raise ValueError("no")

    def sound(event: Event) -> None:
        if isinstance(event, StageStarted):
            seen.append(event.label)

    ran(listeners=[("broken", broken), ("sound", sound)])
    assert seen == ["numbers", "echoes", "even", "half", "loud", "shards", "model", "report"]


def test_again_must_name_a_stage(ran: Ran) -> None:
    with pytest.raises(RecipeError, match="no such stage"):
        ran(again=frozenset({"nothing"}))


def test_a_second_run_waits_for_nobody(ran: Ran, folder: Path) -> None:
    ran()
    workspace = Workspace(folder / "work")
    (address,) = [step.folder.name for step in workspace.steps() if step.folder.name.startswith("loud")]
    with workspace.step(address).lock(), pytest.raises(TextbookgenError, match="another run is working this step"):
        ran()
