from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.errors import RecipeError, TextbookgenError, TrainerError
from textbookgen.api.events import Event, Progress, StageStarted
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]


def executed(run: RunFolder) -> list[str]:
    """The labels of the steps that were run, not cached."""
    return [step.label for step in run.summary().steps if not step.cached]


def contents(work: Path) -> dict[str, bytes]:
    """All data, verdicts and shards of a workspace, byte for byte."""
    kinds = ("data", "verdicts", "out")
    files = [file for file in work.glob("steps/*/*/*") if file.parent.name in kinds and file.suffix in (".parquet", ".txt")]
    return {str(file.relative_to(work)): file.read_bytes() for file in sorted(files)}


def test_a_run_executes_every_family(ran: Ran) -> None:
    summary = ran().summary()
    assert summary.error == ""
    even = summary.step("even")
    assert (even.rows_in, even.rows_out, even.dropped) == (25, 13, {"no even": 12})
    assert summary.step("half").rows_in == 33
    assert summary.step("echoes").requests == 20
    assert [summary.step(label).rows_out for label in ("shards", "loud", "half")] == [16, 16, 16]
    model = summary.models["model"]
    assert model.bits_per_byte == 1.5
    assert model.score("digits", "pass@1").n == 64


def test_a_second_run_reuses_every_step(ran: Ran) -> None:
    assert len(executed(ran())) == 8
    assert executed(ran()) == []


def test_only_steps_that_depend_on_a_changed_option_run_again(ran: Ran) -> None:
    ran()
    assert executed(ran(sets={"stage.loud.suffix": "?"})) == ["loud", "shards", "model", "report"]
    assert executed(ran(sets={"stage.echoes.max_failures": 0.5, "teacher.parrot.max_parallel": 1})) == []


def test_raising_count_requests_only_the_additional_documents(ran: Ran) -> None:
    ran()
    summary = ran(sets={"stage.echoes.count": 24}).summary()
    echoes = summary.step("echoes")
    assert (echoes.requests, echoes.rows_out) == (4, 24)


def test_rerunning_a_step_sends_no_request_twice(ran: Ran) -> None:
    ran()
    summary = ran(rerun=["echoes"]).summary()
    assert [(step.label, step.requests) for step in summary.steps if not step.cached] == [("echoes", 0)]


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
def test_the_number_of_parallel_requests_changes_no_byte(
    ran: Ran, folder: Path, parallel: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran(sets={"teacher.parrot.max_parallel": parallel})
    expected = contents(folder / "work")
    other = tmp_path_factory.mktemp("other")
    (folder / "work").rename(other / "work")
    ran(sets={"teacher.parrot.max_parallel": 7})
    assert contents(folder / "work") == expected


def test_every_row_has_the_standard_columns(ran: Ran, folder: Path) -> None:
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


def test_a_failed_run_keeps_its_completed_steps(ran: Ran) -> None:
    with pytest.raises(TrainerError):
        ran(sets={"stage.model.fails": True})
    assert executed(ran()) == ["model", "report"]


def test_inputs_with_the_same_document_are_rejected(ran: Ran) -> None:
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
    with pytest.raises(TextbookgenError, match="duplicate document id in 'one' and 'two'"):
        ran(twice)


def test_a_failing_observer_does_not_fail_the_run(ran: Ran) -> None:
    seen: list[str] = []

    def broken(event: Event) -> None:
        raise ValueError("no")

    def recorder(event: Event) -> None:
        if isinstance(event, StageStarted):
            seen.append(event.label)

    ran(observers=[("broken", broken), ("recorder", recorder)])
    assert seen == ["numbers", "echoes", "even", "half", "loud", "shards", "model", "report"]


def test_rerun_must_name_a_stage(ran: Ran) -> None:
    with pytest.raises(RecipeError, match="no such stage"):
        ran(rerun=["nothing"])


def test_a_run_waits_for_a_step_that_another_run_processes(ran: Ran, folder: Path) -> None:
    ran()
    workspace = Workspace(folder / "work")
    (address,) = [step.folder.name for step in workspace.steps() if step.folder.name.startswith("loud")]
    held, waited = ExitStack(), []

    def release(event: Event) -> None:
        if isinstance(event, Progress) and "another run" in event.note:
            waited.append(event.label)
            held.close()

    held.enter_context(workspace.step(address).lock())
    assert executed(ran(observers=[("release", release)])) == []
    assert set(waited) == {"loud"}
