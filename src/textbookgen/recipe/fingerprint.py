"""Fingerprints: hashes of everything that determines a step's output, so that equal steps share one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel

from textbookgen.api.annotations import (
    FiltersOption,
    Input,
    Label,
    Opens,
    RuntimeOption,
    TemplateOption,
    option_name,
    options_with,
)
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.hashing import content_digest
from textbookgen.api.stage import Source, Stage
from textbookgen.api.teacher import Teacher
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.recipe.connect import Connections
from textbookgen.recipe.plan import Component, PlannedFilter
from textbookgen.recipe.plugin_boundary import plugin_boundary
from textbookgen.recipe.prompts import Prompts


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the facts as canonical JSON, in hexadecimal.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value has no JSON form.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def fingerprinted_options(options: BaseModel) -> dict[str, Any]:
    """Return the options that determine the output, as JSON values.

    Runtime options are left out, and so are labels of other tables: what those tables contain is fingerprinted instead.
    """
    kind = type(options)
    excluded = {name for mark in (RuntimeOption, Label, FiltersOption) for name, _ in options_with(kind, mark)}
    excluded |= {name for name, mark in options_with(kind, Input) if not mark.or_name}
    return options.model_dump(mode="json", by_alias=True, exclude=excluded)


def component_facts(component: Component[Any]) -> dict[str, Any]:
    """Return what determines the output of a teacher, sampler or filter."""
    options = component.options
    return {"use": component.use, "version": getattr(options, "version", 1), "options": fingerprinted_options(options)}


def step_facts(
    stage: Stage,
    use: str,
    connections: Connections,
    input_fingerprints: Mapping[str, str],
    prompts: Prompts,
    *,
    seed: int,
    limit: int | None,
) -> dict[str, Any]:
    """Return what determines the output of a step.

    Args:
        input_fingerprints: the fingerprints of the earlier steps, by label.
        seed: the seed of the recipe, which every stage but a source depends on.
        limit: the largest number of documents that a source reads.
    """
    inputs = {option: [input_fingerprints[label] for label in labels] for option, labels in connections.inputs.items()}
    facts: dict[str, Any] = {
        "use": use,
        "version": stage.version,
        "options": fingerprinted_options(stage),
        "inputs": inputs,
    }
    if isinstance(stage, Source):
        return source_facts(stage, use, limit)
    filters = [
        _filter_facts(component, prompts, reads_steps=f"accept.{number}" in inputs)
        for number, component in enumerate(connections.filters)
    ]
    facts |= {"seed": seed, "filters": filters, **_outside_facts(stage, use)}
    if isinstance(stage, Generator | Grader):
        teacher = connections.teacher
        facts["prompts"] = _template_sources(stage, prompts)
        facts["teacher"] = teacher and _teacher_facts(teacher, reads_steps="teacher" in inputs)
    if isinstance(stage, TeacherEvaluator) and connections.asked:
        facts["prompts"] = _template_sources(stage, prompts)
        facts["teachers"] = [
            {"label": teacher.label, **_teacher_facts(teacher, reads_steps=f"teacher.{teacher.label}" in inputs)}
            for teacher in connections.asked
        ]
    if isinstance(stage, Generator):
        facts["sampler"] = connections.sampler and component_facts(connections.sampler)
    return facts


def _filter_facts(component: PlannedFilter, prompts: Prompts, *, reads_steps: bool) -> dict[str, Any]:
    """Return what determines the verdicts of a filter in `accept`: of a grader, also its prompts and its teacher."""
    facts = component_facts(component) | _outside_facts(component.options, component.use)
    if isinstance(component.options, Grader):
        facts["prompts"] = _template_sources(component.options, prompts)
        facts["teacher"] = component.teacher and _teacher_facts(component.teacher, reads_steps=reads_steps)
    return facts


def _outside_facts(stage: Stage, use: str) -> dict[str, Any]:
    """Return what a stage reads from outside the recipe: its digest, and the content of the files of its benchmarks.

    Empty for most stages, whose fingerprints do not depend on it.
    """
    with plugin_boundary(f"stage `{use}`", "digest"):
        digest = stage.digest()
    options = [option for option, mark in options_with(type(stage), Opens) if mark.what == "benchmark"]
    names = {name for option in options for name in _values(stage, option)}
    files = {str(file): content_digest(file) for name in sorted(names) for file in named_files(name)}
    return ({"digest": digest} if digest else {}) | ({"files": files} if files else {})


def _values(stage: Stage, option: str) -> tuple[str, ...]:
    value = getattr(stage, option)
    return (value,) if isinstance(value, str) else tuple(value or ())


def named_files(name: str) -> list[Path]:
    """Return the files that the name of a benchmark says to read, such as `arc_easy@test.jsonl?examples=train.jsonl`.

    These are the path after `@` and the parameters that are paths; of a folder, all files in it. Addresses and files that do
    not exist are left out: `recipe check` reports the latter.
    """
    path, _, query = name.partition("?")
    _, _, path = path.partition("@")
    places = [Path(value) for value in (path, *(value for _, value in parse_qsl(query))) if value and "://" not in value]
    return sorted({file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()})


def source_facts(stage: Source, use: str, limit: int | None) -> dict[str, Any]:
    """Return what determines the output of a source: its options, and a digest of what it reads, as it is now."""
    with plugin_boundary(f"source `{use}`", "digest"):
        digest = stage.digest()
    options = fingerprinted_options(stage)
    return {"use": use, "version": stage.version, "options": options, "inputs": {}, "digest": digest, "limit": limit}


def _teacher_facts(teacher: Component[Teacher], *, reads_steps: bool) -> dict[str, Any]:
    """Return what determines a teacher's replies: its digest, unless it answers from earlier steps (those are inputs)."""
    facts = component_facts(teacher)
    if reads_steps:
        names = {option_name(type(teacher.options), name) for name, _ in options_with(type(teacher.options), Input)}
        facts["options"] = {name: value for name, value in facts["options"].items() if name not in names}
    else:
        with plugin_boundary(f"teacher `{teacher.use}`", "digest"):
            digest = teacher.options.digest()
        if digest:
            facts["digest"] = digest
    return facts


def _template_sources(stage: Generator | Grader | TeacherEvaluator, prompts: Prompts) -> dict[str, str]:
    """Return the text of every prompt template of the stage, with all that each includes, by option.

    `prompt` is always among them: a subclass may have redeclared it without the annotation.
    """
    sources = {name: "\n".join(map(prompts.sources, templates)) for name, templates in templates_of(stage).items()}
    return {name: text for name, text in sorted(sources.items()) if text}


def templates_of(stage: Generator | Grader | TeacherEvaluator) -> dict[str, tuple[str, ...]]:
    """Return the templates that each option of a stage names; none for an option that is unset."""
    names = {"prompt", *(name for name, _ in options_with(type(stage), TemplateOption))}
    values = {name: getattr(stage, name) for name in sorted(names & type(stage).model_fields.keys())}
    return {name: (value,) if isinstance(value, str) else tuple(value or ()) for name, value in values.items()}
