"""Reports, summaries and comparisons of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from conftest import RECIPE

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.run.compare import compare_plans
from textbookgen.run.report import format_duration, write_report
from textbookgen.run.summary import summarize_unfinished
from textbookgen.storage.records import RunPlan, RunSummary, StepEntry, StepSummary, TableEntry
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]


def entry(label: str, teacher: str | None = None) -> StepEntry:
    table = None if teacher is None else TableEntry(teacher, "openai", {})
    return StepEntry(label, "toy/echo", "toy 1", "f" * 64, f"{label}-ffffffffffff", ("Documents",), {}, {}, table)


def summary_of(label: str, record: StepRecord, cached: bool = False) -> StepSummary:
    return StepSummary(label, "toy/echo", f"{label}-ffffffffffff", cached, **vars(record))


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., str]:
    """Writes the report of these steps and returns it."""

    def write(*steps: StepSummary, error: str = "", teachers: dict[str, str] | None = None) -> str:
        workspace = Workspace(tmp_path)
        plan = RunPlan("r", "2", 5, "r.toml", tuple(entry(step.label, (teachers or {}).get(step.label)) for step in steps))
        run = workspace.create_run("r", "", plan)
        write_report(run, workspace, RunSummary("r", 61.0, error, steps))
        return run.report.read_text(encoding="utf-8")

    return write


def test_the_head_names_recipe_seed_and_cached_steps(report: Callable[..., str]) -> None:
    text = report(summary_of("a", StepRecord()), summary_of("b", StepRecord(), cached=True))
    assert "completed 2 steps in 1 min 1 s, 1 of them cached from earlier runs. Recipe: `r.toml`, " in text
    assert "version 2, seed 5." in text
    assert "## Dropped documents" not in text and "## Teacher cost" not in text and "## Notes" not in text


def test_dropped_documents_are_counted_by_reason_with_a_sum_of_rare_ones(report: Callable[..., str]) -> None:
    dropped = {f"reason {n}" if n else "a | b": 100 - n for n in range(15)}
    text = report(summary_of("a", StepRecord(rows_in=2_000, rows_out=605, dropped=dropped)))
    assert "| a | a / b | 100 |" in text, "a bar does not break the table"
    assert "| a | reason 11 | 89 |" in text and "reason 12" not in text
    assert f"| a | 3 other reasons | {88 + 87 + 86} |" in text
    assert f"| 2,000 | 605 | {sum(dropped.values()):,} |" in text


def test_cost_is_listed_by_step_and_teacher_with_a_total(report: Callable[..., str]) -> None:
    steps = [
        summary_of("a", StepRecord(requests=10, tokens=1_000, cost_usd=1.25, failures=3, notes=("a note",))),
        summary_of("b", StepRecord(requests=5, tokens=500, cost_usd=0.5)),
        summary_of("c", StepRecord(requests=7)),
    ]
    text = report(*steps, teachers={"a": "gpt", "b": "gpt", "c": "free"})
    assert "| a | gpt | 10 | 1,000 | $1.2500 |" in text
    assert "| **total** | | 15 | 1,500 | $1.7500 |" in text
    assert "| c | free" not in text
    assert "- **a**: 3 documents failed\n- **a**: a note" in text


def test_a_failed_run_states_its_error(report: Callable[..., str]) -> None:
    assert "**The run failed:**\n\n```\nit broke\n```" in report(summary_of("a", StepRecord()), error="it broke")


def test_the_figures_of_evaluations_are_listed_once(ran: Ran) -> None:
    text = ran().report.read_text(encoding="utf-8")
    assert "| model | 1 | 30 | 1.500 | " in text
    assert "pass@1 digits" not in text, "it is in the table of models"
    assert "![Training loss over training tokens](loss.svg)" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (7_260, "2 h 1 min")]
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_an_unfinished_run_is_summarized_from_its_complete_steps(ran: Ran, folder: Path) -> None:
    run = ran()
    workspace = Workspace(folder / "work")
    for label in ("report", "model"):
        (workspace.step(next(step.address for step in run.plan().steps if step.label == label)).folder / "record.json").unlink()
    summary = summarize_unfinished(workspace, run)
    assert summary.error == "not finished"
    assert [step.label for step in summary.steps][-1] == "shards"
    assert (summary.models, summary.reports) == ({}, ())
    assert summary.step("even") == run.summary().step("even")


def test_plans_are_compared_stage_by_stage(ran: Ran) -> None:
    first = ran().plan()
    renamed = RECIPE.replace("[stage.report]", "[stage.figures]")
    second = ran(renamed, sets={"stage.loud.suffix": "?", "teacher.parrot.words": 13}).plan()
    rows = {(row.label, row.option): (row.first, row.second) for row in compare_plans(first, second)}
    assert rows["loud", "suffix"] == ('"!"', '"?"')
    assert rows["echoes", "teacher.words"] == ("12", "13")
    assert ("model", "(an earlier stage, a prompt or an external file)") in rows
    assert rows["report", "(stage)"] == ("toy/digits", "")
    assert rows["figures", "(stage)"] == ("", "toy/digits")
    assert not any(label in ("numbers", "even") for label, _ in rows)
    assert list(compare_plans(first, first)) == []


def test_a_checkpoint_without_a_card_is_an_error_that_names_it(ran: Ran, folder: Path) -> None:
    run = ran()
    workspace = Workspace(folder / "work")
    model = next(step for step in run.plan().steps if step.label == "model")
    (workspace.step(model.address).out / "checkpoint.json").write_text("{", encoding="utf-8")
    with pytest.raises(TextbookgenError, match=r"checkpoint\.json cannot be read") as caught:
        summarize_unfinished(workspace, run)
    assert str(workspace.step(model.address).out) in caught.value.place


def test_reports_without_errors_or_counts_are_shown(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    step = summary_of("measured", StepRecord(rows_out=2))
    rows = pl.DataFrame(
        {"subject": ["corpus", "corpus"], "metric": ["words", "share"], "value": [1234.6, None], "n": [7, None]}
    )
    write_frame(workspace.step(step.address).out / "report.parquet", rows)
    run = workspace.create_run("r", "", RunPlan("r", "1", 0, "r.toml", ()))
    write_report(run, workspace, RunSummary("r", 1.0, "", (step,), reports=(step.address,)))
    text = run.report.read_text(encoding="utf-8")
    assert "| corpus | words | 1,235 |  | 7 |" in text
    assert "| corpus | share |  |  |  |" in text
