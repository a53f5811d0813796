"""The gate: how many requests are under way at once, how many are sent a minute, and less of both when a teacher says so."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable

#: A teacher that turned away more than this share of a round is asked by fewer at once.
TURNED_AWAY = 0.1
#: How much may be caught up after a late waking, in seconds.
_SLACK = 0.05


class Pace:
    """At most so many units a minute, evenly spread: a burst at the start of each minute would only be turned away.

    What a turn will take is often known only afterwards; `correct` moves the next turn by the difference.
    """

    def __init__(self, per_minute: float) -> None:
        self._seconds = (60 + _SLACK) / per_minute
        self._free_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def turn(self, units: float = 1.0) -> None:
        """Waits until so many units may be sent; those who wait are served in the order they came."""
        self._come_in()
        async with self._first:
            while (wait := self._free_at - time.monotonic()) > 0:
                self._moved.clear()
                try:
                    await asyncio.wait_for(self._moved.wait(), wait)
                except TimeoutError:
                    pass
            self._free_at = max(self._free_at, time.monotonic() - _SLACK) + units * self._seconds

    def _come_in(self) -> None:
        """A pace outlives event loops, of which each step of a run has its own; what one waits with does not."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._first, self._moved = loop, asyncio.Lock(), asyncio.Event()

    def correct(self, expected: float, units: float) -> None:
        """Says that a turn took `units`, not as `expected`."""
        self._free_at += (units - expected) * self._seconds
        self._moved.set()


class RateLimiter:
    """Lets at most `limit` requests be under way at once, fairly between the callers who share it.

    The limit starts at `most`. After each round of replies it falls by the share that the teacher turned away for being
    too many, at most to a half, and otherwise rises by an eighth, up to `most`. Single refusals do not move it.
    """

    def __init__(self, most: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None) -> None:
        self.most = most
        self.limit = float(most)
        self.under_way = 0
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._turns: deque[Hashable] = deque()
        self._requests = Pace(requests_per_minute) if requests_per_minute else None
        self._tokens = Pace(tokens_per_minute) if tokens_per_minute else None
        self._usual: float | None = None
        self._heard = self._away = 0

    async def enter(self, caller: Hashable, tokens: float) -> float:
        """Waits for a slot and for the caller's turn; `tokens` is the most that the request could take.

        Returns what was expected of it in tokens, for `leave`.
        """
        if self._turns or self.under_way >= int(self.limit):
            await self._queue(caller)
        else:
            self.under_way += 1
        expected = tokens if self._usual is None else min(tokens, self._usual)
        try:
            if self._requests:
                await self._requests.turn()
            if self._tokens:
                await self._tokens.turn(expected)
        except BaseException:
            self._free()
            raise
        return expected

    def leave(self, expected: float, tokens: float, *, turned_away: bool = False) -> None:
        """Gives the slot back; `tokens` is what the request took (nothing if it failed)."""
        if self._tokens:
            self._tokens.correct(expected, tokens)
        if tokens:
            self._usual = tokens if self._usual is None else 0.95 * self._usual + 0.05 * tokens
        self._heard += 1
        self._away += turned_away
        if self._heard >= max(8, int(self.limit)):
            self._adapt(self._away / self._heard)
            self._heard = self._away = 0
        self._free()

    def _adapt(self, away: float) -> None:
        if away > TURNED_AWAY:
            self.limit = max(1.0, self.limit * (1 - min(away, 0.5)))
        else:
            self.limit = min(float(self.most), self.limit * 1.125 + 0.5)

    async def _queue(self, caller: Hashable) -> None:
        place = asyncio.get_running_loop().create_future()
        if caller not in self._queues:
            self._queues[caller] = deque()
            self._turns.append(caller)
        self._queues[caller].append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._free()
            raise

    def _free(self) -> None:
        self.under_way -= 1
        while self._turns and self.under_way < int(self.limit):
            place = self._next()
            if not place.done():
                self.under_way += 1
                place.set_result(None)

    def _next(self) -> asyncio.Future[None]:
        """The next in line: callers take turns, however long each one's line is."""
        caller = self._turns.popleft()
        line = self._queues[caller]
        place = line.popleft()
        if line:
            self._turns.append(caller)
        else:
            del self._queues[caller]
        return place
