"""The record of a plan, as plan.json holds it: every option with its value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textbookgen.recipe.plan import Component, Plan, PlannedStep
from textbookgen.storage.records import GraderEntry, RunPlan, StepEntry, TableEntry


def record_plan(plan: Plan) -> RunPlan:
    """Return the record of a plan."""
    recipe = plan.recipe
    steps = tuple(_record_step(step) for step in plan.steps)
    return RunPlan(recipe.name, recipe.version, recipe.seed, recipe.path.name, steps)


def _record_step(step: PlannedStep) -> StepEntry:
    return StepEntry(
        label=step.label,
        use=step.use,
        release=step.release,
        fingerprint=step.fingerprint,
        address=step.address,
        output=tuple(step.output.kinds()),
        inputs=dict(step.inputs),
        options=step.stage.model_dump(mode="json", by_alias=True),
        teacher=None if step.teacher is None else _record_table(step.teacher, stand_in=step.teacher.options.stand_in),
        sampler=None if step.sampler is None else _record_table(step.sampler),
        graders=tuple(_record_graders(step)),
        asked=tuple(_record_table(teacher, stand_in=teacher.options.stand_in) for teacher in step.asked),
    )


def _record_graders(step: PlannedStep) -> Iterator[GraderEntry]:
    for number, item in enumerate(step.filters):
        if item.teacher is not None:
            teacher = _record_table(item.teacher, stand_in=item.teacher.options.stand_in)
            yield GraderEntry(number, item.use, item.options.model_dump(mode="json", by_alias=True), teacher)


def _record_table(component: Component[Any], *, stand_in: bool = False) -> TableEntry:
    return TableEntry(component.label, component.use, component.options.model_dump(mode="json"), stand_in)
