"""A teacher that answers by a script whose truth is known, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from textbookgen.api.message import Message
from textbookgen.api.stage import Generator
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.llm.json_schema import validation_error
from textbookgen.recipe.prompts import Prompts

_PROMPTS = Prompts(prompt_folders())


@dataclass
class Script:
    """Asks answered by a function of task and draw (and sample, if it takes three); prompts are rendered as in a run."""

    answer: Callable[..., str | Reply | dict]
    default_task: str = ""
    default_draw: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Mapping[str, Any] | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        await asyncio.sleep(0)
        task = self.default_task if task is None else task
        draw = self.default_draw if draw is None else draw
        json.dumps(draw)  # what a teacher gets can be kept in a ledger
        text = prompt if isinstance(prompt, str) else "\n".join(f"{each.role}: {each.content}" for each in prompt)
        self.asked.append((task, text, draw))
        answer = self.answer(task, draw) if sample is None else self.answer(task, draw, sample)
        if isinstance(answer, dict):
            assert schema is not None
            answer = json.dumps(answer)
            assert validation_error(answer, schema) == ""
        return answer if isinstance(answer, Reply) else Reply(answer)

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        return _PROMPTS.render(template, variables)

    def tasks(self) -> list[str]:
        return [task for task, _, _ in self.asked]


@dataclass
class Room:
    """Works a generator on one draw."""

    script: Script | None = None

    def write(self, stage: Generator, draw: Mapping[str, Any], answer: Callable[..., Any]) -> list[dict[str, Any]]:
        self.script = Script(answer, stage.task, draw)
        return list(asyncio.run(stage.generate(draw, self.script)))


@pytest.fixture
def room() -> Room:
    return Room()
