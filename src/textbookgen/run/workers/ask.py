"""What a generator draws, and how it asks: the same where documents are written and where a first few are rehearsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from textbookgen.api.message import Message
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import Generator
from textbookgen.api.teacher import Reply, Request
from textbookgen.llm import Client
from textbookgen.recipe.planner import PlannedStep, fingerprint
from textbookgen.recipe.prompts import Prompts

_SEEDS_APART = 10**9  # more documents than any stage writes, so that two seeds never share a sample


def seed_of(step: PlannedStep) -> str:
    """What the draws of a step depend on besides their number."""
    assert isinstance(step.stage, Generator)
    return f"{step.seed}/{step.stage.seed}/{fingerprint(step.sampler.identity) if step.sampler else ''}"


def drawn(step: PlannedStep, seed: str, n: int, seen: AcceptedStats) -> dict[str, Any]:
    """What document `n` of a step is to be about; `seed` is that of the step, told once for all."""
    return step.sampler.options.draw(n, Random(f"{seed}/{n}"), seen) if step.sampler else {}


def sample_of(stage: Generator, n: int) -> int:
    """What tells the request for document `n` apart from an equal one for another; without a `from`, each has its own."""
    return stage.seed * _SEEDS_APART + (0 if stage.inputs else n)


@dataclass
class GeneratorAsk:
    """What a generator is given to ask with, for one document: remembers the keys of what it asked, and if a reply was cut."""

    stage: Generator
    prompts: Prompts
    client: Client
    draw: Mapping[str, Any]
    sample: int
    keys: list[str] = field(default_factory=list)
    truncated: bool = False

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Mapping[str, Any] | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """See `stage.Ask`."""
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        answer = await self.client.answer(
            Request(
                messages=messages,
                task=self.stage.task if task is None else task,
                draw=self.draw if draw is None else draw,
                sample=self.sample if sample is None else self.sample * 1_000 + sample,
                schema=schema,
            )
        )
        self.keys.append(answer.key)
        if answer.reply.finish == "length" and self.stage.truncated_replies == "keep":
            self.truncated = True
            return replace(answer.reply, finish="stop")
        return answer.reply

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """See `stage.Ask`."""
        return self.prompts.render(template, variables)
