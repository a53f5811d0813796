"""Run recipes from Python: what the command line calls, for notebooks and programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textbookgen.recipe.parser import Recipe, read_recipe
from textbookgen.recipe.plan import Plan
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.engine import run_plan
from textbookgen.run.observers import Observer
from textbookgen.storage.records import RunSummary
from textbookgen.storage.workspace import Workspace


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run: its folder, its figures, and the report in Markdown."""

    folder: Path
    summary: RunSummary
    report: Path


def load_recipe(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe.

    Args:
        path: the TOML file.
        overrides: values that replace those of the file, by `KIND.LABEL.KEY`, such as `{"stage.small.tokens": 1000}`.

    Raises:
        RecipeError: the file cannot be read or is not TOML, or an override names a table that does not exist.
    """
    return read_recipe(Path(path), overrides)


def plan_recipe(recipe: Recipe, *, plugins: Plugins | None = None, until: str | None = None, limit: int | None = None) -> Plan:
    """Validate a recipe and return its plan, with the fingerprint of every step.

    Args:
        recipe: what `load_recipe` returned.
        plugins: the plugins to use; all installed ones by default.
        until: the label of the last stage to run.
        limit: the largest number of documents of each source and generator; unless `until` is given, the plan then ends
            before the first stage that packs, trains or evaluates.

    Raises:
        RecipeError: everything that is wrong with the recipe, in file order.
    """
    plan = make_plan(recipe, plugins or Plugins(), limit=limit)
    if until is not None:
        return plan.until(until)
    return plan if limit is None else plan.before_packing()


def run_recipe(
    recipe: Recipe | Path | str,
    *,
    work: Path | str = "work",
    until: str | None = None,
    limit: int | None = None,
    rerun: Iterable[str] = (),
    offline: bool = False,
    executor: str = "processes",
    observers: Iterable[tuple[str, Observer]] = (),
    plugins: Plugins | None = None,
) -> RunResult:
    """Run a recipe. Completed steps are reused, so running it again resumes an interrupted run.

    Args:
        recipe: what `load_recipe` returned, or the path of a TOML file.
        work: the folder of steps, replies and runs.
        until: the label of the last stage to run.
        limit: the largest number of documents of each source and generator (see `plan_recipe`).
        rerun: labels of stages to run again; cached replies are still used.
        offline: send no request: use cached replies only.
        executor: where parts are processed: `serial`, `processes`, `processes:N`, or one that a plugin provides.
        observers: functions that are called with each event of the run as `event=`, with names for log messages.
        plugins: the plugins to use; all installed ones by default.

    Raises:
        RecipeError: the recipe is wrong, or something that it needs (a key, a library, a file) is missing.
        TextbookgenError: a step failed; its place names the stage.
    """
    plugins = plugins or Plugins()
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    plan = plan_recipe(recipe, plugins=plugins, until=until, limit=limit)
    run = run_plan(plan, Workspace(Path(work)), plugins, executor=executor, observers=observers, rerun=rerun, offline=offline)
    return RunResult(run.folder, run.summary(), run.report)
