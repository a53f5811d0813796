"""Fingerprints: hashes of everything that determines a step's output, so that equal steps share one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from textbookgen.api.annotations import FiltersOption, Input, Label, RuntimeOption, TemplateOption, option_name, options_with
from textbookgen.api.generator import Generator
from textbookgen.api.stage import Source, Stage
from textbookgen.api.teacher import Teacher
from textbookgen.recipe.connect import Connections
from textbookgen.recipe.plan import Component
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
        return facts | {"digest": stage.digest(), "limit": limit}
    facts |= {"seed": seed, "filters": [component_facts(component) for component in connections.filters]}
    if isinstance(stage, Generator):
        teacher, sampler = connections.teacher, connections.sampler
        facts["prompts"] = _template_sources(stage, prompts)
        facts["teacher"] = teacher and _teacher_facts(teacher, connections)
        facts["sampler"] = sampler and component_facts(sampler)
    return facts


def _teacher_facts(teacher: Component[Teacher], connections: Connections) -> dict[str, Any]:
    """Return what determines a teacher's replies: its digest, unless it answers from earlier steps (those are inputs)."""
    facts = component_facts(teacher)
    if "teacher" in connections.inputs:
        names = {option_name(type(teacher.options), name) for name, _ in options_with(type(teacher.options), Input)}
        facts["options"] = {name: value for name, value in facts["options"].items() if name not in names}
    elif digest := teacher.options.digest():
        facts["digest"] = digest
    return facts


def _template_sources(stage: Generator, prompts: Prompts) -> dict[str, str]:
    """Return the text of every prompt template that the stage names, with all that each includes, by option.

    `prompt` is always among them: a subclass may have redeclared it without the annotation.
    """
    names = {"prompt", *(name for name, _ in options_with(type(stage), TemplateOption))}
    return {name: prompts.sources(template) for name in sorted(names) if (template := getattr(stage, name))}
