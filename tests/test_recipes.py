"""Every shipped recipe checks; and the data half of each runs with a taste of its documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from textbookgen.api.artifacts import Checkpoint
from textbookgen.provenance.cost_estimate import estimate
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import Plan, make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
PLUGINS = Plugins()
missing = {"litellm", "megatron", "minhash", "procedural", "quality", "sandbox", "textbooks", "tinystories"} - {
    name for name, plugin in PLUGINS.installed.items() if plugin.error is None
}
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(sorted(missing))}")


def plan(file: Path, limit: int | None = None) -> Plan:
    return make_plan(read_recipe(file), PLUGINS, limit=limit)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_shipped_recipe_checks(file: Path) -> None:
    found = plan(file)
    assert [need for need in found.missing_requirements if "api_key" not in need.place] == []
    assert len(list(estimate(found).rows())) == len(found.steps)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_says_what_it_is_in_its_first_line(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(
    "file",
    [file for file in RECIPES if "litellm" not in file.read_text(encoding="utf-8").split("use = ")[1]],
    ids=lambda file: file.stem,
)
def test_a_taste_of_a_recipe_runs(file: Path, tmp_path: Path) -> None:
    found = plan(file, limit=3).before_packing()
    found = found.until(
        next(
            (
                before
                for before, step in zip(["", *(s.label for s in found.steps)], found.steps, strict=False)
                if step.use == "quality/forest"
            ),
            found.steps[-1].label,
        )
    )
    summary = run_plan(found, Workspace(tmp_path), PLUGINS, executor="serial").summary()
    assert summary is not None
    assert summary["error"] == ""
    assert all(step["rows_out"] for step in summary["steps"] if step["requests"])


@pytest.mark.slow
def test_the_tiny_recipe_runs_whole_and_its_report_has_every_model(tmp_path: Path) -> None:
    (file,) = [file for file in RECIPES if file.stem == "tiny"]
    found = plan(file)
    run = run_plan(found, Workspace(tmp_path), PLUGINS)
    summary = run.summary()
    assert summary is not None
    assert summary["error"] == ""
    trained = [step.label for step in found.steps if issubclass(step.output, Checkpoint)]
    assert list(summary["models"]) == trained
    for model in summary["models"].values():
        assert model["parameters"] > 0
        assert 0 < model["bits_per_byte"] < 8
    scored = [label for label, model in summary["models"].items() if model["scores"]]
    assert scored
    text = run.report.read_text(encoding="utf-8")
    assert all(f"| {label} |" in text for label in trained)
    assert "a program, not a language model" in text
    assert (run.folder / "loss.svg").stat().st_size > 1_000
    again = run_plan(found, Workspace(tmp_path), PLUGINS).summary()
    assert again is not None
    assert all(step["cached"] for step in again["steps"])


def test_the_paper_is_priced_without_spending() -> None:
    (file,) = [file for file in RECIPES if file.stem == "phi1-paper"]
    total = estimate(plan(file)).as_dict()["total"]
    assert total["requests"] == 100_000 + 1_000_000 + 879_500
    assert total["cost_usd"] > 100
    assert total["gpu_hours"] > 500
    assert total["disk_bytes"] > 1e11
