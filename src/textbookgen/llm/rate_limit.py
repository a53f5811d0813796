"""RateLimiter: limits on requests in flight, requests per minute and tokens per minute, adapted to what a teacher accepts."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable

#: Share of a round of replies that a teacher may reject for its rate limit before the concurrency limit is lowered.
REJECTION_THRESHOLD = 0.1
#: Replies of the shortest round.
_MIN_ROUND = 8
#: Seconds of lateness that a leaky bucket may make up for, since sleeps end late.
_MAX_CATCH_UP = 0.05
#: Weight of the newest reply in the moving average of tokens per request.
_TOKENS_SMOOTHING = 0.05


class LeakyBucket:
    """A rate limit that spaces requests evenly: providers reject bursts even where the minute's total is within the limit.

    A request's tokens are often known only afterwards: `adjust` then moves the time of the next request by the difference.

    Args:
        per_minute: units (requests or tokens) per minute.
    """

    def __init__(self, per_minute: float) -> None:
        self._seconds_per_unit = (60 + _MAX_CATCH_UP) / per_minute
        self._next_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def acquire(self, units: float = 1.0) -> None:
        """Wait until the units may be used; callers are served in the order they arrived."""
        self._bind_to_loop()
        async with self._queue:
            while (wait := self._next_at - time.monotonic()) > 0:
                self._adjusted.clear()
                try:
                    await asyncio.wait_for(self._adjusted.wait(), wait)
                except TimeoutError:
                    pass
            self._next_at = max(self._next_at, time.monotonic() - _MAX_CATCH_UP) + units * self._seconds_per_unit

    def _bind_to_loop(self) -> None:
        """Create the asyncio primitives for the running loop: a bucket is shared by stages, and each runs its own loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._queue, self._adjusted = loop, asyncio.Lock(), asyncio.Event()

    def adjust(self, acquired: float, used: float) -> None:
        """Correct the units acquired for a request to those it used."""
        self._next_at += (used - acquired) * self._seconds_per_unit
        self._adjusted.set()


class RateLimiter:
    """Limits what is sent to one teacher; callers that share it take turns (round robin), however many requests each has.

    The concurrency limit adapts as in congestion control. It starts at `max_parallel`. After each round of replies (as many
    as the limit) it falls by the share of them that were rejected, by half at most, if that share exceeds
    `REJECTION_THRESHOLD`; otherwise it rises by an eighth, up to `max_parallel`. Single rejections do not change it.

    Args:
        max_parallel: maximum number of requests in flight.
        requests_per_minute: maximum request rate; None does not limit it.
        tokens_per_minute: maximum rate of prompt and reply tokens; None does not limit it.
    """

    def __init__(
        self, max_parallel: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.max_parallel = max_parallel
        self.limit = float(max_parallel)
        self.in_flight = 0
        self._waiters: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._turns: deque[Hashable] = deque()
        self._requests = LeakyBucket(requests_per_minute) if requests_per_minute else None
        self._tokens = LeakyBucket(tokens_per_minute) if tokens_per_minute else None
        self._mean_tokens: float | None = None
        self._round_replies = self._round_rejections = 0

    async def acquire(self, caller: Hashable, max_tokens: float) -> float:
        """Wait until a request may be sent.

        Args:
            caller: whose turn it is to wait for.
            max_tokens: the most tokens that the request can use.

        Returns:
            The tokens acquired for the request, for `release`: the mean of earlier requests, or `max_tokens` if that is less.
        """
        if self._turns or self.in_flight >= int(self.limit):
            await self._wait(caller)
        else:
            self.in_flight += 1
        tokens = max_tokens if self._mean_tokens is None else min(max_tokens, self._mean_tokens)
        try:
            if self._requests:
                await self._requests.acquire()
            if self._tokens:
                await self._tokens.acquire(tokens)
        except BaseException:
            self._free_slot()
            raise
        return tokens

    def release(self, acquired: float, used: float, *, rejected: bool = False) -> None:
        """End a request and let the next one be sent.

        Args:
            acquired: what `acquire` returned.
            used: the tokens that the request used, 0 if it failed.
            rejected: whether the teacher rejected it for a rate limit.
        """
        if self._tokens:
            self._tokens.adjust(acquired, used)
        if used:
            mean = used if self._mean_tokens is None else self._mean_tokens
            self._mean_tokens = mean + _TOKENS_SMOOTHING * (used - mean)
        self._round_replies += 1
        self._round_rejections += rejected
        if self._round_replies >= max(_MIN_ROUND, int(self.limit)):
            self._adapt(self._round_rejections / self._round_replies)
            self._round_replies = self._round_rejections = 0
        self._free_slot()

    def _adapt(self, rejected_share: float) -> None:
        if rejected_share > REJECTION_THRESHOLD:
            self.limit = max(1.0, self.limit * (1 - min(rejected_share, 0.5)))
        else:
            self.limit = min(float(self.max_parallel), self.limit * 1.125 + 0.5)

    async def _wait(self, caller: Hashable) -> None:
        waiter = asyncio.get_running_loop().create_future()
        if caller not in self._waiters:
            self._waiters[caller] = deque()
            self._turns.append(caller)
        self._waiters[caller].append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._free_slot()  # admitted and cancelled at once
            raise

    def _free_slot(self) -> None:
        self.in_flight -= 1
        while self._turns and self.in_flight < int(self.limit):
            waiter = self._next_waiter()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[None]:
        caller = self._turns.popleft()
        waiters = self._waiters[caller]
        waiter = waiters.popleft()
        if waiters:
            self._turns.append(caller)
        else:
            del self._waiters[caller]
        return waiter
