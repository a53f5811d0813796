"""`run compare`: two runs, two models of a run, planted differences, and what cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from textbookgen.api.errors import WorkspaceError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.rows import ITEM_SCORES
from textbookgen.cli import commands
from textbookgen.run.comparison import Comparison, compare_runs
from textbookgen.storage.records import ModelSummary, RunPlan, RunSummary, Score, StepSummary
from textbookgen.storage.workspace import RunFolder, Workspace

Ran = Callable[..., RunFolder]
Values = dict[str, list[float]]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments, catch_exceptions=False)


def add_run(
    workspace: Workspace,
    name: str,
    values: Values,
    *,
    subsets: Values | None = None,
    figures: Sequence[tuple[str, Score]] = (),
    cost: float = 0.0,
) -> str:
    """Write a finished run whose models have these scores of items, and return its name."""
    steps = [StepSummary("report", "evaluate", f"report-{name}", False, seconds=1.5)]
    scored = {"report": ("all", values), "overlap": ("dissimilar", subsets or {})}
    for label, (subset, of_models) in scored.items():
        rows = [
            {"subject": model, "benchmark": "b", "item": str(n), "metric": "acc", "value": value, "subset": subset}
            for model, of_model in of_models.items()
            for n, value in enumerate(of_model)
        ]
        if rows:
            write_frame(workspace.step(f"{label}-{name}").out / ITEM_SCORES, pl.DataFrame(rows))
    steps += [StepSummary("writer", "write", f"writer-{name}", False, **vars(StepRecord(requests=3, tokens=70, cost_usd=cost)))]
    models = {}
    for number, model in enumerate(values, 1):
        own = tuple(score for label, score in figures if label == model)
        models[model] = ModelSummary(f"{model}-{name}", 10 * number, 1_000, 1.25, 500.0, own)
        steps.append(StepSummary(model, "train", f"{model}-{name}", False, tokens=1_000, seconds=61.0))
    run = workspace.create_run(name, "", RunPlan(name, "1", 0, "r.toml", ()))
    addresses = tuple(f"{label}-{name}" for label in scored)
    run.write_summary(RunSummary(name, 2.0, "", tuple(steps), models=models, reports=addresses))
    return run.name


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def the_score(comparison: Comparison, subset: str = "all") -> Any:
    (score,) = (score for score in comparison.paired if score.subset == subset)
    return score


RIGHT = [1.0] * 10 + [0.0] * 10


def test_identical_runs_do_not_differ(workspace: Workspace) -> None:
    first, second = (add_run(workspace, name, {"m": RIGHT}) for name in ("one", "two"))
    score = the_score(compare_runs(workspace, first, second))
    assert (score.n, score.first, score.second, score.difference, score.p, score.p_adjusted) == (20, 0.5, 0.5, 0.0, 1.0, 1.0)
    assert score.low < 0 < score.high and 0 < score.min_detectable < 0.5


def test_a_planted_difference_is_second_minus_first(workspace: Workspace) -> None:
    first = add_run(workspace, "one", {"m": RIGHT}, subsets={"m": RIGHT[:12]}, cost=0.5)
    second = add_run(workspace, "two", {"m": [1.0] * 19 + [0.0]}, subsets={"m": [1.0] * 11 + [0.0]})
    comparison = compare_runs(workspace, first, second)
    score = the_score(comparison)
    assert score.difference == pytest.approx(0.45) and (score.first_wins, score.second_wins) == (0, 9)
    assert score.p == pytest.approx(2 / 2**9) and score.p_adjusted == pytest.approx(4 / 2**9)
    assert [score.subset for score in comparison.paired] == ["dissimilar", "all"]
    assert [run.cost_usd for run in comparison.runs] == [0.5, 0.0]
    assert (comparison.runs[0].teacher_tokens, comparison.runs[0].trained_tokens) == (70, 1_000)
    assert comparison.runs[0].seconds == 62.5


def test_two_models_of_one_run_are_compared(workspace: Workspace) -> None:
    name = add_run(workspace, "one", {"base": RIGHT, "tuned": [1.0] * 20})
    comparison = compare_runs(workspace, ":base", f"{name}:tuned")
    assert the_score(comparison).difference == 0.5
    ((first, second),) = comparison.models
    assert (first.model, first.parameters, second.model, second.parameters) == ("base", 10, "tuned", 20)
    assert second.seconds == 61.0


def test_items_that_one_run_lacks_are_left_out_and_counted(workspace: Workspace) -> None:
    first, second = add_run(workspace, "one", {"m": RIGHT}), add_run(workspace, "two", {"m": RIGHT[:15]})
    score = the_score(compare_runs(workspace, first, second))
    assert (score.n, score.unmatched_first, score.unmatched_second, score.difference) == (15, 5, 0, 0.0)
    shown = invoke("run", "compare", first, second, "--work", str(workspace.root)).stdout
    assert "m, b acc: left out 5 items of the first and 0 of the second, which the other was not scored on" in shown


def test_figures_without_items_are_compared_without_a_test(workspace: Workspace) -> None:
    grades = [Score(None, "grammar", "all", 6.5), Score(None, "grammar", "all", 7.25)]
    names = [
        add_run(workspace, name, {"m": RIGHT}, figures=[("m", grade), ("m", Score("b", "acc", "all", 0.5))])
        for name, grade in zip(("one", "two"), grades, strict=True)
    ]
    (figure,) = compare_runs(workspace, *names).unpaired
    assert (figure.metric, figure.first, figure.second, figure.difference) == ("grammar", 6.5, 7.25, 0.75)
    assert "grammar" in invoke("run", "compare", *names, "--work", str(workspace.root)).stdout


def test_a_metric_that_two_steps_scored_is_compared_once(workspace: Workspace) -> None:
    name = add_run(workspace, "one", {"m": RIGHT})
    rows = pl.read_parquet(workspace.step("report-one").out / ITEM_SCORES).with_columns(value=pl.lit(0.0))
    write_frame(workspace.step("overlap-one").out / ITEM_SCORES, rows)
    comparison = compare_runs(workspace, name, name)
    assert the_score(comparison).first == 0.5
    assert comparison.notes == (f"{name}: acc of m on b was scored by report and overlap; the scores of report are compared",)


@pytest.mark.parametrize(
    ("first", "second", "problem", "hint"),
    [
        ("one:other", "one", "the run has no model 'other'", "its models: m, n"),
        ("one", "two", "the runs have no model or scores in common", "write RUN:MODEL"),
        ("one:m", "two", "the run has no model 'm'", "MODEL with one of x"),
        ("x", ":x", "no run matches 'x'", "for a model of the latest run, write :x"),
        ("none", "one", "no run matches 'none'", "`textbookgen run list`"),
    ],
)
def test_what_cannot_be_compared_is_an_error(workspace: Workspace, first: str, second: str, problem: str, hint: str) -> None:
    add_run(workspace, "one", {"m": RIGHT, "n": RIGHT})
    add_run(workspace, "two", {"x": RIGHT})
    with pytest.raises(WorkspaceError, match=problem) as caught:
        compare_runs(workspace, first, second)
    assert hint in caught.value.hint


def test_real_runs_are_compared_on_the_command_line(ran: Ran, folder: Path) -> None:
    first = ran().name
    second = ran(sets={"stage.loud.suffix": "?"}).name
    work = str(folder / "work")
    shown = json.loads(invoke("run", "compare", first, second, "--json", "--work", work).stdout)
    (score,) = shown["paired"]
    digits = [json.loads(invoke("run", "show", run, "--json", "--work", work).stdout) for run in (first, second)]
    values = [run["models"]["model"]["scores"][0]["value"] for run in digits]
    assert score["difference"] == pytest.approx(values[1] - values[0])
    assert (score["n"], score["test"], score["first_model"]) == (64, "exact McNemar", "model")
    assert score["low"] < score["difference"] < score["high"] and 0 < score["p"] <= 1
    text = invoke("run", "compare", first, second, "--work", work).stdout
    assert "smallest true difference" in text and f"{score['difference']:+.3f}" in text
    same = json.loads(invoke("run", "compare", first, first, "--json", "--work", work).stdout)["paired"][0]
    assert (same["difference"], same["p"]) == (0.0, 1.0)
