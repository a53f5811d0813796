"""Many things worked at once, handed on as they are done, with no more of them in memory than are being worked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Generic, TypeVar

from textbookgen.api.errors import TextbookgenError

Item = TypeVar("Item")
Result = TypeVar("Result")


async def bounded_map(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], parallel: int
) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
    """Works `items`, at most `parallel` at once, and gives each with its result as it is done: a slow one holds up nobody.

    An error meant for people (a refusal, a budget that is used up) is given as the result; any other ends the work.
    Items are taken one by one as there is room, and no more than `parallel` results wait to be taken away. Closed early
    (`contextlib.aclosing`), it takes no more items and lets those being worked finish, since their replies may have been
    paid for; cancelled, it drops them.
    """
    crowd = _BoundedMap(iter(items), work, parallel)
    crowd.begin()
    drain = True
    try:
        async for item, result in crowd.results():
            yield item, result
    except asyncio.CancelledError:
        drain = False
        raise
    finally:
        await crowd.end(drain)


class _BoundedMap(Generic[Item, Result]):
    """Workers that share an iterator, and a shelf of what they made."""

    def __init__(self, items: Iterator[Item], work: Callable[[Item], Awaitable[Result]], parallel: int) -> None:
        self._items = items
        self._work = work
        self._parallel = parallel
        self._shelf: deque[tuple[Item, Result | TextbookgenError]] = deque()
        self._over = False
        self._made = asyncio.Event()
        self._room = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        self._workers = [asyncio.create_task(self._worker()) for _ in range(self._parallel)]
        for worker in self._workers:
            worker.add_done_callback(lambda _: self._made.set())

    async def _worker(self) -> None:
        while not self._over:
            if len(self._shelf) >= self._parallel:
                self._room.clear()
                await self._room.wait()
                continue
            for item in self._items:
                await self._work_one(item)
                break
            else:
                self._over = True

    async def _work_one(self, item: Item) -> None:
        try:
            self._shelf.append((item, await self._work(item)))
        except TextbookgenError as error:
            self._shelf.append((item, error))
        self._made.set()

    async def results(self) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
        while True:
            self._made.clear()
            while self._shelf:
                result = self._shelf.popleft()
                self._room.set()
                yield result
            for worker in self._workers:
                if worker.done():
                    worker.result()
            if all(worker.done() for worker in self._workers) and not self._shelf:
                return
            await self._made.wait()

    async def end(self, drain: bool) -> None:
        self._over = True
        self._room.set()
        broken = any(worker.done() and not worker.cancelled() and worker.exception() for worker in self._workers)
        if broken or not drain:
            for worker in self._workers:
                worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
