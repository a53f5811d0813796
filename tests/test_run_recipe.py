"""Running recipes from Python: `load_recipe`, `run_recipe` and what they return."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import RECIPE

import textbookgen as tg
from textbookgen.api.events import Event, RunFinished, StageStarted
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.api import plan_recipe


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "toy.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def test_run_recipe_returns_folder_summary_and_report(file: Path, folder: Path, plugins: Plugins) -> None:
    result = tg.run_recipe(file, work=folder / "work", plugins=plugins, executor="serial")
    assert result.folder.parent == folder / "work" / "runs"
    assert result.summary.step("even").dropped == {"no even": 12}
    assert list(result.summary.models) == ["model"]
    assert result.report.read_text(encoding="utf-8").startswith("# toy\n")
    assert (result.summary.error, result.summary.failures) == ("", 0)


def test_running_again_reuses_completed_steps(file: Path, folder: Path, plugins: Plugins) -> None:
    tg.run_recipe(str(file), work=str(folder / "work"), plugins=plugins, executor="serial", until="even")
    recipe = tg.load_recipe(str(file), {"stage.loud.suffix": "?"})
    result = tg.run_recipe(recipe, work=folder / "work", plugins=plugins, executor="serial", until="loud", rerun=["even"])
    assert [(step.label, step.cached) for step in result.summary.steps] == [
        ("numbers", True),
        ("echoes", True),
        ("even", False),
        ("half", False),
        ("loud", False),
    ]


def test_a_limit_stops_before_packing_unless_until_names_a_later_stage(file: Path, plugins: Plugins) -> None:
    recipe = tg.load_recipe(file)
    assert [step.label for step in plan_recipe(recipe, plugins=plugins, limit=3).steps][-1] == "loud"
    assert [step.label for step in plan_recipe(recipe, plugins=plugins, limit=3, until="shards").steps][-1] == "shards"
    assert [step.label for step in plan_recipe(recipe, plugins=plugins).steps][-1] == "report"


def test_observers_see_every_event_in_order(file: Path, folder: Path, plugins: Plugins) -> None:
    events: list[Event] = []

    def observe(event: Event) -> None:
        events.append(event)

    tg.run_recipe(
        file, work=folder / "work", plugins=plugins, executor="serial", until="even", observers=[("recorder", observe)]
    )
    assert [event.label for event in events if isinstance(event, StageStarted)] == ["numbers", "echoes", "even"]
    assert isinstance(events[-1], RunFinished) and events[-1].error == ""


def test_errors_are_raised_and_recorded(file: Path, folder: Path, plugins: Plugins) -> None:
    with pytest.raises(tg.RecipeError, match="no such stage"):
        tg.run_recipe(file, work=folder / "work", plugins=plugins, until="nothing")
    assert not (folder / "work").exists()
    recipe = tg.load_recipe(file, {"stage.model.fails": True})
    with pytest.raises(tg.TrainerError, match="the loss is not a number"):
        tg.run_recipe(recipe, work=folder / "work", plugins=plugins, executor="serial")
    (run,) = (folder / "work" / "runs").iterdir()
    report = (run / "report.md").read_text(encoding="utf-8")
    assert "completed 6 of 8 steps" in report
    assert "**The run failed:**" in report and "the loss is not a number" in report
