"""The draws of a generator, and the `ask` that it sends its requests with, both in a run and in a replay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.message import Message
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.teacher import Reply, Request
from textbookgen.llm import Client
from textbookgen.recipe.fingerprint import component_facts, fingerprint
from textbookgen.recipe.plan import GeneratorStep
from textbookgen.recipe.prompts import Prompts

_SEED_STRIDE = 10**9  # more documents than any stage writes, so that the samples of two seeds never overlap
_TURN_STRIDE = 1_000  # more samples than a stage requests for one document


def draw_seed(step: GeneratorStep) -> str:
    """Return what the draws of a step depend on besides the number of the document."""
    return f"{step.seed}/{step.stage.seed}/{fingerprint(component_facts(step.sampler)) if step.sampler else ''}"


def draw_variables(step: GeneratorStep, seed: str, n: int, stats: AcceptedStats) -> dict[str, Any]:
    """Return the prompt variables of document `n`; none without a sampler.

    Args:
        step: the generator's step.
        seed: its `draw_seed`, computed once per step.
        n: the number of the document.
        stats: what was accepted before, for samplers that adapt.
    """
    return step.sampler.options.draw(n, Random(f"{seed}/{n}"), stats) if step.sampler else {}


def graded_draw(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a grader is asked with: the row without its step, whose name changes with options of no concern here.

    The column `draw` becomes a mapping.
    """
    document = {name: value for name, value in row.items() if name != "step"}
    return {"document": document | {"draw": json.loads(document.get("draw") or "{}")}}


def sample_number(stage: Generator | Grader, n: int) -> int:
    """Return what distinguishes the request for document `n` from an equal one for another document.

    With a `from`, and to a grader, equal requests share one reply; otherwise every document has its own.
    """
    return stage.seed * _SEED_STRIDE + (0 if stage.inputs or isinstance(stage, Grader) else n)


@dataclass
class StageAsk:
    """The `ask` of one document (see `textbookgen.Ask`): collects the ledger keys of its requests.

    `truncated` becomes true if a reply ended at the token limit and the stage keeps such replies.
    """

    stage: Generator | Grader
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
        temperature: float | None = None,
    ) -> Reply:
        """Send a prompt to the teacher and return its reply."""
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        answer = await self.client.complete(
            Request(
                messages=messages,
                task=self.stage.task if task is None else task,
                draw=self.draw if draw is None else draw,
                sample=self.sample if sample is None else self.sample * _TURN_STRIDE + sample,
                schema=schema,
                temperature=self._temperature if temperature is None else temperature,
            )
        )
        self.keys.append(answer.key)
        if answer.reply.finish == "length" and self._keeps_truncated:
            self.truncated = True
            return replace(answer.reply, finish="stop")
        return answer.reply

    @property
    def _temperature(self) -> float | None:
        return None if self.stage.temperature == "teacher" else self.stage.temperature

    @property
    def _keeps_truncated(self) -> bool:
        return isinstance(self.stage, Generator) and self.stage.truncated_replies == "keep"

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """Return the text of a prompt template with these variables."""
        return self.prompts.render(template, variables)
