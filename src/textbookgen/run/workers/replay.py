"""Replay the first documents of a generator from the ledger alone, to measure what a document takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from textbookgen.api.errors import RequestRefused, TextbookgenError, UnusableReply
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.teacher import Teacher
from textbookgen.llm import Client, Usage
from textbookgen.recipe.plan import Component, GeneratorStep, GraderStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.run.workers.ask import StageAsk, draw_seed, draw_variables, graded_draw, sample_number
from textbookgen.storage.ledger import Ledger

#: Documents that are replayed.
MAX_DOCUMENTS = 400
#: Consecutive documents without stored replies after which the replay ends.
_MAX_CONSECUTIVE_MISSES = 3


def replay(
    step: GeneratorStep, prompts: Prompts, ledger: Ledger, documents: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Usage]]:
    """Return the usage of each of a step's first documents whose replies are all in the ledger; no request is sent.

    Usage is by the label of the teacher. Of the graders in `accept`, those replies count that are in the ledger: a document
    that an earlier filter dropped has none.

    Args:
        step: the generator's step; all turns of a stage with several are replayed.
        prompts: the prompt templates of the plan.
        ledger: the stored replies.
        documents: the first input documents, for a stage with a `from`; None for one without.
    """
    return asyncio.run(_replay(step, prompts, ledger, documents))


def replay_grades(
    step: GraderStep, prompts: Prompts, ledger: Ledger, documents: Sequence[Mapping[str, Any]]
) -> list[dict[str, Usage]]:
    """Return the usage of each of the first documents of a grader whose replies are in the ledger; no request is sent."""

    async def measure() -> list[dict[str, Usage]]:
        usages = [await _replay_grade(step.stage, step.teacher, prompts, ledger, row) for row in documents[:MAX_DOCUMENTS]]
        return [{step.teacher.label: usage} for usage in usages if usage.from_ledger]

    return asyncio.run(measure())


async def _replay(
    step: GeneratorStep, prompts: Prompts, ledger: Ledger, documents: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Usage]]:
    seed, misses = draw_seed(step), 0
    usages: list[dict[str, Usage]] = []
    inputs = [{"document": document} for document in documents] if documents is not None else [{}] * MAX_DOCUMENTS
    for n, variables in enumerate(inputs[:MAX_DOCUMENTS]):
        usage = await _replay_document(step, prompts, ledger, n, draw_variables(step, seed, n, AcceptedStats()) | variables)
        if usage is not None:
            usages.append(usage)
        misses = 0 if usage is not None else misses + 1
        if misses == _MAX_CONSECUTIVE_MISSES:
            break
    return usages


async def _replay_document(
    step: GeneratorStep, prompts: Prompts, ledger: Ledger, n: int, draw: dict[str, Any]
) -> dict[str, Usage] | None:
    """Return the usage of one document by teacher; None if a reply is missing."""
    client = Client(step.teacher.options, step.teacher.use, ledger, offline=True)
    ask = StageAsk(step.stage, prompts, client, draw, sample_number(step.stage, n))
    rows: list[dict[str, Any] | UnusableReply] = []
    try:
        rows = list(await step.stage.generate(draw, ask))
    except RequestRefused:
        return None
    except UnusableReply:
        pass  # the reply was paid for
    except TextbookgenError:  # a prompt that needs variables which only a run provides
        return None
    if not client.usage.from_ledger:
        return None
    usages = {step.teacher.label: client.usage}
    document = {name: value for name, value in draw.items() if name != "document"}
    for component in step.filters:
        for row in rows:
            if component.teacher is None or not isinstance(component.options, Grader) or isinstance(row, UnusableReply):
                continue
            row_with_draw = {"kind": step.stage.kind, **row, "draw": json.dumps(document, sort_keys=True, default=str)}
            usage = await _replay_grade(component.options, component.teacher, prompts, ledger, row_with_draw)
            usages[component.teacher.label] = _sum(usages.get(component.teacher.label, Usage()), usage)
    return usages


async def _replay_grade(
    grader: Grader, teacher: Component[Teacher], prompts: Prompts, ledger: Ledger, row: Mapping[str, Any]
) -> Usage:
    """Return the usage of grading one document, as far as its replies are in the ledger."""
    client = Client(teacher.options, teacher.use, ledger, offline=True)
    draw = graded_draw(row)
    try:
        await grader.grade(draw, StageAsk(grader, prompts, client, draw, sample_number(grader, 0)))
    except TextbookgenError:
        pass  # no reply is stored, or it is unusable and was paid for
    return client.usage


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(**{item.name: getattr(one, item.name) + getattr(other, item.name) for item in fields(Usage)})
