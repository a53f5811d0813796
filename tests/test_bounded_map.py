"""bounded_map: results with errors as they complete, bounded memory, early close and bugs."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from typing import Any

import pytest

from textbookgen.api.errors import RequestRefused
from textbookgen.llm import bounded_map


def test_every_item_has_its_result_or_its_error() -> None:
    async def square(n: int) -> int:
        await asyncio.sleep(random.Random(n).random() * 0.01)
        if n % 10 == 3:
            raise RequestRefused("three")
        return n * n

    async def run() -> list[tuple[int, Any]]:
        return [(n, result) async for n, result in bounded_map(range(100), square, 7)]

    results = asyncio.run(run())
    assert sorted(n for n, _ in results) == list(range(100))
    assert all(isinstance(result, RequestRefused) if n % 10 == 3 else result == n * n for n, result in results)


def test_items_are_taken_as_the_consumer_keeps_up() -> None:
    taken = []

    def items():
        for n in range(1000):
            taken.append(n)
            yield n

    async def identity(n: int) -> int:
        return n

    async def run() -> None:
        consumed = 0
        async for _ in bounded_map(items(), identity, 5):
            consumed += 1
            assert len(taken) <= consumed + 2 * 5
            await asyncio.sleep(0.001)
        assert consumed == 1000

    asyncio.run(run())


def test_at_most_max_parallel_calls_run_at_once() -> None:
    running, peaks = 0, []

    async def work(n: int) -> None:
        nonlocal running
        running += 1
        peaks.append(running)
        await asyncio.sleep(0.001)
        running -= 1

    async def run() -> None:
        async for _ in bounded_map(range(50), work, 4):
            pass

    asyncio.run(run())
    assert max(peaks) == 4


def test_a_slow_item_does_not_delay_the_others() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0.3 if n == 0 else 0)
        return n

    async def run() -> list[int]:
        return [n async for n, _ in bounded_map(range(1000), work, 2)]

    assert asyncio.run(run())[-1] == 0


def test_closed_early_running_items_complete_and_no_more_start() -> None:
    started, completed = [], []

    async def work(n: int) -> int:
        started.append(n)
        await asyncio.sleep(0.05)
        completed.append(n)
        return n

    async def run() -> None:
        async with aclosing(bounded_map(range(100), work, 10)) as results:
            async for _ in results:
                break

    asyncio.run(run())
    assert sorted(started) == sorted(completed)
    assert len(completed) < 30


def test_cancelled_running_items_are_cancelled() -> None:
    completed = []

    async def work(n: int) -> None:
        await asyncio.sleep(30)
        completed.append(n)

    async def run() -> None:
        async for _ in bounded_map(range(100), work, 10):
            pass

    async def cancel() -> None:
        task = asyncio.create_task(run())
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    start = time.monotonic()
    asyncio.run(cancel())
    assert time.monotonic() - start < 5
    assert completed == []


def test_a_bug_is_raised_at_once() -> None:
    async def work(n: int) -> int:
        if n == 5:
            raise KeyError("bug")
        await asyncio.sleep(30 if n > 5 else 0)
        return n

    async def run() -> None:
        async for _ in bounded_map(range(100), work, 10):
            pass

    start = time.monotonic()
    with pytest.raises(KeyError):
        asyncio.run(run())
    assert time.monotonic() - start < 5


def test_a_bug_in_the_items_is_raised() -> None:
    def items():
        yield 1
        raise ValueError("bug")

    async def identity(n: int) -> int:
        return n

    async def run() -> None:
        async for _ in bounded_map(items(), identity, 3):
            pass

    with pytest.raises(ValueError, match="bug"):
        asyncio.run(run())


def test_no_items_give_no_results() -> None:
    async def identity(n: int) -> int:
        return n

    async def run() -> list[Any]:
        return [item async for item in bounded_map([], identity, 3)]

    assert asyncio.run(run()) == []
