"""Concurrent requests about one document."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from textbookgen import Ask, Draw, Reply, RequestRefused, UnusableReply

Result = TypeVar("Result")


async def gather(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run coroutines concurrently and return their results in order.

    If one raises, the others are cancelled before its error is raised, so that no request outlives its document.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def gather_usable(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run coroutines concurrently and return, in order, the results of those whose reply was neither refused nor unusable."""
    return [result for result in await gather(map(_result_or_none, coroutines)) if result is not None]


async def sample_replies(ask: Ask, prompt: Any, count: int, draw: Draw, task: str) -> list[Reply]:
    """Ask for `count` independent replies to one prompt and return those that were not refused.

    Args:
        ask: how to send a request.
        prompt: a text, or a conversation as a list of messages.
        count: number of samples, numbered from 0 so that each has its own entry in the ledger.
        draw: prompt variables, for teachers that are programs.
        task: name of the task, for teachers that are programs.
    """
    return await gather_usable(_sample(ask, prompt, number, draw, task) for number in range(count))


async def _sample(ask: Ask, prompt: Any, number: int, draw: Draw, task: str) -> Reply:
    return await ask(prompt, draw=draw, task=task, sample=number)


async def _result_or_none(coroutine: Coroutine[Any, Any, Result]) -> Result | None:
    try:
        return await coroutine
    except (RequestRefused, UnusableReply):
        return None
