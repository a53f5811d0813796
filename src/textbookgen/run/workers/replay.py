"""Replay the first documents of a generator from the ledger alone, to measure what a document takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from textbookgen.api.errors import RequestRefused, TextbookgenError, UnusableReply
from textbookgen.api.sampler import AcceptedStats
from textbookgen.llm import Client, Usage
from textbookgen.recipe.plan import GeneratorStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.run.workers.ask import StageAsk, draw_seed, draw_variables, sample_number
from textbookgen.storage.ledger import Ledger

#: Documents that are replayed.
MAX_DOCUMENTS = 400
#: Consecutive documents without stored replies after which the replay ends.
_MAX_CONSECUTIVE_MISSES = 3


def replay(step: GeneratorStep, prompts: Prompts, ledger: Ledger, documents: Sequence[Mapping[str, Any]] | None) -> list[Usage]:
    """Return the usage of each of a step's first documents whose replies are all in the ledger; no request is sent.

    Args:
        step: the generator's step; all turns of a stage with several are replayed.
        prompts: the prompt templates of the plan.
        ledger: the stored replies.
        documents: the first input documents, for a stage with a `from`; None for one without.
    """
    return asyncio.run(_replay(step, prompts, ledger, documents))


async def _replay(
    step: GeneratorStep, prompts: Prompts, ledger: Ledger, documents: Sequence[Mapping[str, Any]] | None
) -> list[Usage]:
    seed, usages, misses = draw_seed(step), [], 0
    inputs = [{"document": document} for document in documents] if documents is not None else [{}] * MAX_DOCUMENTS
    for n, variables in enumerate(inputs[:MAX_DOCUMENTS]):
        usage = await _replay_document(step, prompts, ledger, n, draw_variables(step, seed, n, AcceptedStats()) | variables)
        if usage is not None:
            usages.append(usage)
        misses = 0 if usage is not None else misses + 1
        if misses == _MAX_CONSECUTIVE_MISSES:
            break
    return usages


async def _replay_document(step: GeneratorStep, prompts: Prompts, ledger: Ledger, n: int, draw: dict[str, Any]) -> Usage | None:
    """Return the usage of one document; None if a reply is missing."""
    client = Client(step.teacher.options, step.teacher.use, ledger, offline=True)
    ask = StageAsk(step.stage, prompts, client, draw, sample_number(step.stage, n))
    try:
        await step.stage.generate(draw, ask)
    except RequestRefused:
        return None
    except UnusableReply:
        pass  # the reply was paid for
    except TextbookgenError:  # a prompt that needs variables which only a run provides
        return None
    return client.usage if client.usage.from_ledger else None
