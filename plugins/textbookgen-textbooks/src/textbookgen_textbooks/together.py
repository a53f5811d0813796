"""Several questions of one document, under way at once; and chance that is the same on every run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable
from random import Random
from typing import Any, TypeVar

from textbookgen import Ask, Draw, Reply, RequestRefused, UnusableReply

Answer = TypeVar("Answer")


async def side_by_side(works: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """All the results, in order; if one raises, the others are called off and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def those_that_worked(works: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The results, in order, of those that were neither refused nor unusable."""
    return [item for item in await side_by_side(map(_or_none, works)) if item is not None]


async def samples(ask: Ask, prompt: str, count: int, draw: Draw, task: str) -> list[Reply]:
    """So many different replies to one prompt, refused ones left out."""
    return await those_that_worked(_sample(ask, prompt, number, draw, task) for number in range(count))


async def _sample(ask: Ask, prompt: str, number: int, draw: Draw, task: str) -> Reply:
    return await ask(prompt, draw=draw, task=task, sample=number)


async def _or_none(work: Coroutine[Any, Any, Answer]) -> Answer | None:
    try:
        return await work
    except (RequestRefused, UnusableReply):
        return None


def chance(draw: Draw, *more: object) -> Random:
    """Random numbers that belong to a draw: the same draw (by its document's id, if it has one) gives the same numbers."""
    facts = {name: value.get("id", value) if name == "document" else value for name, value in draw.items()}
    return Random(json.dumps([facts, *more], sort_keys=True, ensure_ascii=False, default=str))
