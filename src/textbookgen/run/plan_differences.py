"""Compare the plans of two runs: which stages differ, and in which options."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from textbookgen.storage.records import RunPlan, StepEntry

_MAX_VALUE = 80  # characters of a value in a table


class Difference(NamedTuple):
    """One difference between two plans; a value is empty where a plan has no such stage."""

    label: str
    option: str
    first: str
    second: str


def compare_plans(first: RunPlan, second: RunPlan) -> Iterator[Difference]:
    """Yield the differences between two plans, stage by stage in the order of the first."""
    steps, others = ({step.label: step for step in plan.steps} for plan in (first, second))
    for label in [*steps, *(label for label in others if label not in steps)]:
        one, other = steps.get(label), others.get(label)
        if one is None or other is None:
            yield Difference(label, "(stage)", one.use if one else "", other.use if other else "")
        elif one.fingerprint != other.fingerprint:
            yield from _compare_steps(one, other)


def _compare_steps(first: StepEntry, second: StepEntry) -> Iterator[Difference]:
    values, others = _values(first), _values(second)
    changed = [name for name in sorted(values.keys() | others.keys()) if values.get(name) != others.get(name)]
    for name in changed:
        yield Difference(first.label, name, _shown(values.get(name)), _shown(others.get(name)))
    if not changed:
        what = "(an earlier stage, a prompt or an external file)"
        yield Difference(first.label, what, first.fingerprint[:12], second.fingerprint[:12])


def _values(step: StepEntry) -> dict[str, Any]:
    """Return the options of a step and, as `teacher.words`, those of its teachers and sampler."""
    values = {"use": step.use, **step.options}
    graders = ((f"accept.{grader.filter}.teacher", grader.teacher) for grader in step.graders)
    asked = ((f"teacher.{table.label}", table) for table in step.asked)
    for name, table in (("teacher", step.teacher), ("sampler", step.sampler), *graders, *asked):
        if table is not None:
            values |= {f"{name}.use": table.use, **{f"{name}.{key}": value for key, value in table.options.items()}}
    return values


def _shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)[:_MAX_VALUE]
