"""Requests to the embedded teacher, directly and through the generators of other plugins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from textbookgen_procedural.teacher import ProceduralTeacher

from textbookgen.api.generator import Generator
from textbookgen.api.message import Message
from textbookgen.api.teacher import Reply, Request
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.llm.json_schema import validation_error
from textbookgen.recipe.prompts import Prompts

Ask = Callable[..., str]
Row = dict[str, Any]
Generate = Callable[[Generator, Mapping[str, Any]], list[Row]]

_PROMPTS = Prompts(prompt_folders())


@pytest.fixture(scope="session")
def ask() -> Ask:
    teacher = ProceduralTeacher()

    def answer(task: str, draw: dict[str, Any], sample: int = 0) -> str:
        return asyncio.run(teacher.complete(Request((), task, draw, sample))).text

    return answer


class TeacherAsk:
    """Sends a generator's requests to the embedded teacher: real prompts, draws as JSON, replies that must fit the schema."""

    def __init__(self, stage: Generator, draw: Mapping[str, Any]) -> None:
        self.stage = stage
        self.draw = draw
        self.teacher = ProceduralTeacher()

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Mapping[str, Any] | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> Reply:
        assert prompt
        variables = json.loads(json.dumps(self.draw if draw is None else draw))  # as the ledger would store it
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        request = Request(messages, self.stage.task if task is None else task, variables, sample or 0, schema)
        reply = await self.teacher.complete(request)
        if schema is not None:
            assert validation_error(reply.text, schema) == ""
        return reply

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        return _PROMPTS.render(template, variables)


@pytest.fixture(scope="session")
def generate() -> Generate:
    """Returns the rows that a generator makes of a draw with the embedded teacher."""

    def run(stage: Generator, draw: Mapping[str, Any]) -> list[Row]:
        rows: Iterable[Row] = asyncio.run(stage.generate(draw, TeacherAsk(stage, draw)))
        return list(rows)

    return run
