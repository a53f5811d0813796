"""Every shipped recipe is valid, and its data stages run with a few documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from textbookgen.api.artifacts import Checkpoint
from textbookgen.provenance.cost_estimate import estimate_cost
from textbookgen.provenance.estimate_table import estimate_rows
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.comparison import compare_runs
from textbookgen.run.engine import run_plan
from textbookgen.storage.workspace import Workspace

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
PLUGINS = Plugins()
missing = {
    "litellm",
    "megatron",
    "dedup",
    "decontamination",
    "procedural",
    "quality",
    "sandbox",
    "textbooks",
    "tinystories",
} - {name for name, plugin in PLUGINS.installed.items() if plugin.error is None}
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(sorted(missing))}")


def plan(file: Path, limit: int | None = None) -> Plan:
    return make_plan(read_recipe(file), PLUGINS, limit=limit)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_shipped_recipe_is_valid(file: Path) -> None:
    checked = plan(file)
    assert [item for item in checked.missing_requirements if "api_key" not in item.place] == []
    assert len(list(estimate_rows(estimate_cost(checked)))) == len(checked.steps)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_starts_with_a_description(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(
    "file",
    [file for file in RECIPES if "litellm" not in file.read_text(encoding="utf-8").split("use = ")[1]],
    ids=lambda file: file.stem,
)
def test_the_data_stages_of_a_recipe_run_with_a_few_documents(file: Path, tmp_path: Path) -> None:
    limited = plan(file, limit=6).before_packing()
    limited = limited.until(
        next(
            (
                before
                for before, step in zip(["", *(s.label for s in limited.steps)], limited.steps, strict=False)
                if step.use == "quality/forest"
            ),
            limited.steps[-1].label,
        )
    )
    summary = run_plan(limited, Workspace(tmp_path), PLUGINS, executor="serial").summary()
    assert summary.error == ""
    assert all(step.rows_out for step in summary.steps if step.requests)


@pytest.mark.slow
def test_the_tiny_recipe_runs_and_its_report_has_every_model(tmp_path: Path) -> None:
    (file,) = [file for file in RECIPES if file.stem == "tiny"]
    whole = plan(file)
    run = run_plan(whole, Workspace(tmp_path), PLUGINS)
    summary = run.summary()
    assert summary.error == ""
    trained = [step.label for step in whole.steps if issubclass(step.output, Checkpoint)]
    assert list(summary.models) == trained
    for model in summary.models.values():
        assert model.parameters and model.parameters > 0
        assert model.bits_per_byte and 0 < model.bits_per_byte < 8
    tuned = summary.models["tuned"]
    sizes = {score.subset: score.n for score in tuned.scores if score.metric == "pass@1"}
    assert sizes["all"] == 20 == sizes["similar"] + sizes["dissimilar"]
    comparison = compare_runs(Workspace(tmp_path), ":base", ":tuned")
    assert {score.subset: score.n for score in comparison.paired} == {name: n for name, n in sizes.items() if n}
    text = run.report.read_text(encoding="utf-8")
    assert all(f"| {label} |" in text for label in trained)
    assert "a program, not a language model" in text
    assert (run.folder / "loss.svg").stat().st_size > 1_000
    assert all(step.cached for step in run_plan(whole, Workspace(tmp_path), PLUGINS).summary().steps)


def test_the_cost_of_the_paper_is_estimated() -> None:
    (file,) = [file for file in RECIPES if file.stem == "phi1-paper"]
    total = estimate_cost(plan(file)).as_dict()["total"]
    assert total["requests"] == 100_000 + 1_000_000 + 879_500
    assert total["cost_usd"] > 100
    assert total["gpu_hours"] > 500
    assert total["disk_bytes"] > 1e11
