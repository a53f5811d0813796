"""bounded_map: apply a coroutine function to many items with bounded concurrency and memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Generic, TypeVar

from textbookgen.api.errors import TextbookgenError

Item = TypeVar("Item")
Result = TypeVar("Result")


async def bounded_map(
    items: Iterable[Item], function: Callable[[Item], Awaitable[Result]], max_parallel: int
) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
    """Apply `function` to each item, at most `max_parallel` at once, and yield (item, result) pairs as they complete.

    Items are taken lazily, and fewer than twice `max_parallel` results wait for the consumer. A TextbookgenError (a refusal,
    an exceeded budget) is yielded as the item's result; any other exception cancels the rest and is raised. When the
    generator is closed early (`contextlib.aclosing`), no further item is started, but those in progress complete, since
    their replies may have been paid for. When it is cancelled, they are cancelled too.
    """
    workers = _Workers(iter(items), function, max_parallel)
    workers.start()
    complete_running = True
    try:
        async for item, result in workers.results():
            yield item, result
    except asyncio.CancelledError:
        complete_running = False
        raise
    finally:
        await workers.stop(complete_running)


class _Workers(Generic[Item, Result]):
    """Tasks that share an iterator of items and a bounded buffer of results."""

    def __init__(self, items: Iterator[Item], function: Callable[[Item], Awaitable[Result]], max_parallel: int) -> None:
        self._items = items
        self._function = function
        self._max_parallel = max_parallel
        self._buffer: deque[tuple[Item, Result | TextbookgenError]] = deque()
        self._exhausted = False
        self._result_ready = asyncio.Event()
        self._space_free = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._max_parallel)]
        for task in self._tasks:
            task.add_done_callback(lambda _: self._result_ready.set())

    async def _run(self) -> None:
        while not self._exhausted:
            if len(self._buffer) >= self._max_parallel:
                self._space_free.clear()
                await self._space_free.wait()
                continue
            for item in self._items:
                await self._process(item)
                break
            else:
                self._exhausted = True

    async def _process(self, item: Item) -> None:
        try:
            self._buffer.append((item, await self._function(item)))
        except TextbookgenError as error:
            self._buffer.append((item, error))
        self._result_ready.set()

    async def results(self) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
        while True:
            self._result_ready.clear()
            while self._buffer:
                result = self._buffer.popleft()
                self._space_free.set()
                yield result
            for task in self._tasks:
                if task.done():
                    task.result()
            if all(task.done() for task in self._tasks) and not self._buffer:
                return
            await self._result_ready.wait()

    async def stop(self, complete_running: bool) -> None:
        self._exhausted = True
        self._space_free.set()
        failed = any(task.done() and not task.cancelled() and task.exception() for task in self._tasks)
        if failed or not complete_running:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
