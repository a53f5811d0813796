"""Many things worked at once, handed on in their order, with no more of them in memory than are being worked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Generic, TypeVar

from textbookgen.errors import TextbookgenError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: So many times `parallel` results may wait for a slow one before them.
AHEAD = 4


async def work_many(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], parallel: int
) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
    """Works `items`, at most `parallel` at once, and gives each with its result, in the order of the items.

    An error meant for people (a refusal, a budget that is used up) is given as the result; any other ends the work.
    Items are taken one by one as there is room. Closed early (`contextlib.aclosing`), it takes no more items and lets
    those being worked finish, since their replies may have been paid for; cancelled, it drops them.
    """
    crowd = _Crowd(iter(items), work, parallel)
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


class _Crowd(Generic[Item, Result]):
    """Workers that share an iterator, and a shelf of what they made."""

    def __init__(self, items: Iterator[Item], work: Callable[[Item], Awaitable[Result]], parallel: int) -> None:
        self._items = enumerate(items)
        self._work = work
        self._parallel = parallel
        self._shelf: dict[int, tuple[Item, Result | TextbookgenError]] = {}
        self._next = 0
        self._taken = 0
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
            if self._taken >= self._next + AHEAD * self._parallel:
                self._room.clear()
                await self._room.wait()
                continue
            number, item = next(self._items, (None, None))
            if number is None:
                self._over = True
                return
            self._taken += 1
            await self._work_one(number, item)  # type: ignore[arg-type]  # an item comes with every number

    async def _work_one(self, number: int, item: Item) -> None:
        try:
            self._shelf[number] = item, await self._work(item)
        except TextbookgenError as error:
            self._shelf[number] = item, error
        if number == self._next:
            self._made.set()

    async def results(self) -> AsyncIterator[tuple[Item, Result | TextbookgenError]]:
        while True:
            while self._next in self._shelf:
                result = self._shelf.pop(self._next)
                self._next += 1
                self._room.set()
                yield result
            for worker in self._workers:
                if worker.done():
                    worker.result()
            if all(worker.done() for worker in self._workers) and not self._shelf:
                return
            await self._made.wait()
            self._made.clear()

    async def end(self, drain: bool) -> None:
        self._over = True
        self._room.set()
        if not drain or any(worker.done() and worker.exception() for worker in self._workers if not worker.cancelled()):
            for worker in self._workers:
                worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
