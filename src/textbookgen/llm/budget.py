"""The purse: a budget that is never passed, because the worst a request can cost is set aside before it is sent."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from textbookgen.api.errors import BudgetExceeded

#: Money is counted in whole millionths of a millionth of a dollar, so that no rounding ever adds up to a request too many.
_PARTS = 10**12


class Budget:
    """US dollars that may be spent, by everyone who shares the purse; without a limit it only counts."""

    def __init__(self, limit_usd: float | None = None, *, name: str = "budget_usd", spent_usd: float = 0.0) -> None:
        self.limit_usd = limit_usd
        self.name = name
        self._left = math.inf if limit_usd is None else math.floor(limit_usd * _PARTS)
        self._spent = math.ceil(spent_usd * _PARTS)
        self._reserved = 0
        self._holders = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def spent_usd(self) -> float:
        """What was paid."""
        return self._spent / _PARTS

    @property
    def reserved_usd(self) -> float:
        """What requests under way could still cost."""
        return self._reserved / _PARTS

    async def reserve(self, worst_usd: float) -> int:
        """Sets aside what a request can cost at worst; waits while requests under way may give some of theirs back.

        Returns what was set aside, for `settle`.

        Raises:
            BudgetExceeded: nothing is under way, and what is left is less than this.
        """
        worst = math.ceil(worst_usd * _PARTS)
        if self._waiting or not self._take(worst):
            await self._wait(worst)
        return worst

    def settle(self, reserved: int, cost_usd: float) -> None:
        """Gives back what was set aside, less what the request really cost."""
        self._reserved -= reserved
        self._spent += math.ceil(cost_usd * _PARTS)
        self._holders -= 1
        while self._waiting:
            worst, place = self._waiting[0]
            if place.done():
                self._waiting.popleft()
            elif self._take(worst):
                self._waiting.popleft()
                place.set_result(None)
            elif self._holders:
                return
            else:
                self._waiting.popleft()
                place.set_exception(self._over(worst))

    def _take(self, worst: int) -> bool:
        if self._spent + self._reserved + worst > self._left:
            return False
        self._reserved += worst
        self._holders += 1
        return True

    async def _wait(self, worst: int) -> None:
        if not self._holders:
            raise self._over(worst)
        place = asyncio.get_running_loop().create_future()
        self._waiting.append((worst, place))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.settle(worst, 0.0)
            raise

    def _over(self, worst: int) -> BudgetExceeded:
        left = (self._left - self._spent) / _PARTS
        return BudgetExceeded(
            f"the next request could cost {worst / _PARTS:.6f} US dollars, and {left:.6f} of {self.limit_usd} are left",
            place=self.name,
            hint="raise it and run the recipe again: replies paid for are in the ledger and cost nothing",
        )
