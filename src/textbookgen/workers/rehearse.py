"""Rehearsing a generator: its first documents once more from the ledger alone, to learn what a document takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from textbookgen.asking import Asking, Usage
from textbookgen.errors import Refused, TextbookgenError, Unusable
from textbookgen.ledger import Ledger
from textbookgen.plan import PlannedStep
from textbookgen.prompts import Prompts
from textbookgen.sampler import Tally
from textbookgen.stage import Generator
from textbookgen.workers.ask import GeneratorAsk, drawn, sample_of, seed_of

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
    seed, found, missing = seed_of(step), [], 0
    about = [{"document": document} for document in documents] if documents is not None else [{}] * MOST
    for n, given in enumerate(about[:MOST]):
        usage = await _one(step, prompts, ledger, n, drawn(step, seed, n, Tally()) | given)
        found += [usage] if usage is not None else []
        missing = 0 if usage is not None else missing + 1
        if missing == _GIVE_UP:
            break
    return found


async def _one(step: PlannedStep, prompts: Prompts, ledger: Ledger, n: int, draw: dict[str, Any]) -> Usage | None:
    """What one document took; None if the ledger has not all of it."""
    assert step.teacher is not None and isinstance(step.stage, Generator)
    asking = Asking(step.teacher.options, step.teacher.use, ledger, offline=True)
    ask = GeneratorAsk(step.stage, prompts, asking, draw, sample_of(step.stage, n))
    try:
        await step.stage.write(draw, ask)
    except Refused:
        return None
    except Unusable:
        pass  # paid for all the same
    except TextbookgenError:  # a prompt that wants what only a run has
        return None
    return asking.usage if asking.usage.from_ledger else None
