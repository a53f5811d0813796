"""A teacher that answers from a script whose truth is known, and records what it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from textbookgen.api.generator import Generator
from textbookgen.api.message import Message
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.llm.json_schema import validation_error
from textbookgen.recipe.prompts import Prompts

PROMPTS = Prompts(prompt_folders())


class RecordedRequest(NamedTuple):
    task: str
    prompt: str
    draw: Mapping[str, Any]


@dataclass
class ScriptedTeacher:
    """Answers by a function of task and draw (and sample, for requests that have one); prompts are rendered as in a run."""

    answer: Callable[..., str | Reply | dict]
    default_task: str = ""
    default_draw: Mapping[str, Any] = field(default_factory=dict)
    requests: list[RecordedRequest] = field(default_factory=list)
    temperatures: dict[str, set[float | None]] = field(default_factory=dict)  # those asked for, by task

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
        await asyncio.sleep(0)
        task = self.default_task if task is None else task
        draw = self.default_draw if draw is None else draw
        json.dumps(draw)  # the ledger stores draws as JSON
        text = prompt if isinstance(prompt, str) else "\n".join(f"{message.role}: {message.content}" for message in prompt)
        self.requests.append(RecordedRequest(task, text, draw))
        self.temperatures.setdefault(task, set()).add(temperature)
        answer = self.answer(task, draw) if sample is None else self.answer(task, draw, sample)
        if isinstance(answer, dict):
            assert schema is not None
            answer = json.dumps(answer)
            assert validation_error(answer, schema) == ""
        return answer if isinstance(answer, Reply) else Reply(answer)

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        return PROMPTS.render(template, variables)

    def tasks(self) -> list[str]:
        return [request.task for request in self.requests]

    def prompts(self, task: str) -> list[str]:
        return [request.prompt for request in self.requests if request.task == task]


@dataclass
class Runner:
    """Runs a generator on one draw; `teacher` is that of the last run."""

    teacher: ScriptedTeacher = field(default_factory=lambda: ScriptedTeacher(lambda task, draw: ""))

    def run(self, stage: Generator, draw: Mapping[str, Any], answer: Callable[..., Any]) -> list[dict[str, Any]]:
        self.teacher = ScriptedTeacher(answer, stage.task, draw)
        return list(asyncio.run(stage.generate(draw, self.teacher)))


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def prompts() -> Prompts:
    return PROMPTS
