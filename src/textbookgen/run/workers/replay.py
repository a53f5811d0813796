"""Rehearsing a generator: its first documents once more from the ledger alone, to learn what a document takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from textbookgen.api.errors import RequestRefused, TextbookgenError, UnusableReply
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import Generator
from textbookgen.llm import Client, Usage
from textbookgen.recipe.planner import PlannedStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.run.workers.ask import GeneratorAsk, drawn, sample_of, seed_of
from textbookgen.storage.ledger import Ledger

#: So many documents are looked at.
MOST = 400
#: After so many in a row whose replies are not there, no more are looked for.
_GIVE_UP = 3


def rehearse(step: PlannedStep, prompts: Prompts, ledger: Ledger, documents: Iterable[Mapping[str, Any]] | None) -> list[Usage]:
    """What each of a step's first documents took, of those whose replies are all in the ledger; no teacher is asked.

    `documents` are those asked about, of a stage with a `from`. Stages of several turns are gone through turn by turn.
    """
    return asyncio.run(_rehearse(step, prompts, ledger, documents))


async def _rehearse(
    step: PlannedStep, prompts: Prompts, ledger: Ledger, documents: Iterable[Mapping[str, Any]] | None
) -> list[Usage]:
    seed, result, missing = seed_of(step), [], 0
    about = [{"document": document} for document in documents] if documents is not None else [{}] * MOST
    for n, given in enumerate(about[:MOST]):
        usage = await _one(step, prompts, ledger, n, drawn(step, seed, n, AcceptedStats()) | given)
        result += [usage] if usage is not None else []
        missing = 0 if usage is not None else missing + 1
        if missing == _GIVE_UP:
            break
    return result


async def _one(step: PlannedStep, prompts: Prompts, ledger: Ledger, n: int, draw: dict[str, Any]) -> Usage | None:
    """What one document took; None if the ledger has not all of it."""
    assert step.teacher is not None and isinstance(step.stage, Generator)
    client = Client(step.teacher.options, step.teacher.use, ledger, offline=True)
    ask = GeneratorAsk(step.stage, prompts, client, draw, sample_of(step.stage, n))
    try:
        await step.stage.generate(draw, ask)
    except RequestRefused:
        return None
    except UnusableReply:
        pass  # paid for all the same
    except TextbookgenError:  # a prompt that wants what only a run has
        return None
    return client.usage if client.usage.from_ledger else None
