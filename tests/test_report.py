"""Reports, summaries and comparisons of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import RECIPE

from textbookgen.api.errors import TextbookgenError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.rows import report_table
from textbookgen.run.plan_differences import compare_plans
from textbookgen.run.report import format_duration, write_report
from textbookgen.run.summary import names_of_models, report_rows, summarize_unfinished
from textbookgen.storage.records import ModelSummary, RunPlan, RunSummary, StepEntry, StepSummary, TableEntry
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


def test_scores_of_documents_are_those_of_the_model_that_wrote_them(tmp_path: Path) -> None:
    """A subject that is a stage of completions or grades counts as its model, unless two would then have the same score."""

    def step(label: str, kind: str, **inputs: str) -> StepEntry:
        reads = {name: tuple(labels.split()) for name, labels in inputs.items()}
        return StepEntry(label, "toy/echo", "toy 1", "f" * 64, f"{label}-ffffffffffff", (kind,), reads, {}, None)

    def names(*scores: tuple[str, str]) -> dict[str, str]:
        rows = [{"subject": subject, "benchmark": "b", "metric": metric, "value": 1.0, "n": 1} for subject, metric in scores]
        write_frame(workspace.step("report-ffffffffffff").out / "report.parquet", report_table(rows))
        models = names_of_models(workspace, plan, ["report-ffffffffffff"])
        subjects = {row["subject"] for row in report_rows(workspace, plan, ["report-ffffffffffff"])}
        assert subjects == {models.get(subject, subject) for subject, _ in scores}
        return models

    workspace = Workspace(tmp_path)
    steps = (
        step("prompts", "Documents"),
        step("base", "Checkpoint"),
        step("tuned", "Checkpoint", checkpoint="base"),
        *(step(f"{model}-stories", "Documents", **{"from": "prompts", "checkpoint": model}) for model in ("base", "tuned")),
        *(step(f"{model}-graded", "Documents", **{"from": f"{model}-stories"}) for model in ("base", "tuned")),
        step("both", "Documents", **{"from": "base-stories tuned-stories"}),
        step("report", "Report", **{"from": "base-graded tuned-graded"}),
    )
    plan = RunPlan("r", "2", 5, "r.toml", steps)
    assert names(("base-graded", "x"), ("tuned-graded", "x")) == {"base-graded": "base", "tuned-graded": "tuned"}
    assert names(("both", "x"), ("prompts", "x"), ("all models", "x"), ("tuned", "x")) == {}
    assert names(("base-graded", "x"), ("base-stories", "y")) == {"base-graded": "base", "base-stories": "base"}
    assert names(("base-graded", "x"), ("base-stories", "x"), ("tuned-graded", "x")) == {"tuned-graded": "tuned"}


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
    assert text.count("pass@1") == 1
    assert "| benchmark | metric | items | n | model |\n|---|---|---|---:|---:|\n| digits | pass@1 | all | 64 | 0." in text
    assert "these scores may include what was memorized" in text
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


@pytest.fixture
def scored(tmp_path: Path) -> Callable[..., str]:
    """Writes the report of a run whose evaluation steps, by label, have these figures, and returns it."""

    def write(models: list[str], **steps: list[dict[str, Any]]) -> str:
        workspace = Workspace(tmp_path)
        summaries = [summary_of(label, StepRecord()) for label in steps]
        for summary, rows in zip(summaries, steps.values(), strict=True):
            write_frame(workspace.step(summary.address).out / "report.parquet", pl.DataFrame(rows))
        run = workspace.create_run("r", "", RunPlan("r", "1", 0, "r.toml", ()))
        trained = {label: ModelSummary(f"{label}-ffffffffffff") for label in models}
        addresses = tuple(summary.address for summary in summaries)
        write_report(run, workspace, RunSummary("r", 1.0, "", tuple(summaries), models=trained, reports=addresses))
        return run.report.read_text(encoding="utf-8")

    return write


def test_reports_without_errors_or_counts_are_shown(scored: Callable[..., str]) -> None:
    rows = [
        {"subject": "corpus", "metric": "words", "value": 1234.6, "n": 7},
        {"subject": "corpus", "metric": "share", "value": None, "n": None},
    ]
    text = scored([], measured=rows)
    assert "| corpus | words | 1,235 |  | 7 |" in text
    assert "| corpus | share |  |  |  |" in text
    assert "## Scores" not in text


def score(subject: str, benchmark: str, metric: str, value: float, n: int, subset: str = "all") -> dict[str, Any]:
    names = ("subject", "benchmark", "metric", "value", "n", "subset", "stderr")
    return dict(zip(names, (subject, benchmark, metric, value, n, subset, 0.1), strict=True))


def test_every_score_has_its_place_and_dissimilar_items_come_first(scored: Callable[..., str]) -> None:
    report = [
        score(label, benchmark, metric, value, n)
        for label, value in (("base", 0.25), ("tuned", 0.5), ("gpt", 0.75))
        for benchmark, metric, n in (("third", "pass@1", 9), ("humaneval", "pass@1", 164), ("humaneval", "pass@10", 164))
    ]
    overlap = [
        score("tuned", "humaneval", "pass@1", 0.75, 71, "similar"),
        score("tuned", "humaneval", "pass@1", 0.125, 93, "dissimilar"),
    ]
    text = scored(["small", "base", "tuned"], report=report, overlap=overlap)
    expected = """
| benchmark | metric | items | n | base | tuned | gpt |
|---|---|---|---:|---:|---:|---:|
| third | pass@1 | all | 9 | 0.250 ± 0.100 | 0.500 ± 0.100 | 0.750 ± 0.100 |
| humaneval | pass@1 | dissimilar | 93 |  | 0.125 ± 0.100 |  |
| humaneval | pass@1 | all | 164 | 0.250 ± 0.100 | 0.500 ± 0.100 | 0.750 ± 0.100 |
| humaneval | pass@1 | similar | 71 |  | 0.750 ± 0.100 |  |
| humaneval | pass@10 | all | 164 | 0.250 ± 0.100 | 0.500 ± 0.100 | 0.750 ± 0.100 |
"""
    assert expected in text
    assert "the rest it may have memorized" in text


def test_scores_of_the_same_metric_by_two_steps_are_both_shown(scored: Callable[..., str]) -> None:
    text = scored(["m"], greedy=[score("m", "b", "pass@1", 0.25, 9)], sampled=[score("m", "b", "pass@1", 0.5, 9)])
    assert "| b | pass@1 | all | 9 | greedy | 0.250 ± 0.100 |\n| b | pass@1 | all | 9 | sampled | 0.500 ± 0.100 |" in text


def test_models_scored_on_different_numbers_of_items_say_so(scored: Callable[..., str]) -> None:
    text = scored(["m", "n"], report=[score("m", "b", "acc", 0.25, 9), score("n", "b", "acc", 0.5, 8)])
    assert "| b | acc | all |  | 0.250 ± 0.100 (n = 9) | 0.500 ± 0.100 (n = 8) |" in text
