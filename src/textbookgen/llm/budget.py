"""Budget: a spending limit that is never exceeded, since every request reserves its worst-case cost before it is sent."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from textbookgen.api.errors import BudgetExceeded

#: Amounts are whole picodollars, so that rounding errors never add up to one request too many.
_UNITS_PER_USD = 10**12


class Budget:
    """A spending limit in US dollars, shared by concurrent requests. Without a limit it only counts.

    A request reserves its worst-case cost with `reserve`, and replaces the reservation by its actual cost with `settle`.
    Spent and reserved amounts together never exceed the limit. Requests that do not fit wait in first-in-first-out order
    for open reservations to be settled.

    Args:
        limit_usd: the limit in US dollars; None counts only.
        name: the option that sets the limit, for error messages.
        spent_usd: what was spent before.
    """

    def __init__(self, limit_usd: float | None = None, *, name: str = "budget_usd", spent_usd: float = 0.0) -> None:
        self.limit_usd = limit_usd
        self.name = name
        self._limit = math.inf if limit_usd is None else math.floor(limit_usd * _UNITS_PER_USD)
        self._spent = math.ceil(spent_usd * _UNITS_PER_USD)
        self._reserved = 0
        self._open_reservations = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def spent_usd(self) -> float:
        """The settled costs, in US dollars."""
        return self._spent / _UNITS_PER_USD

    @property
    def reserved_usd(self) -> float:
        """The worst-case cost of requests in flight, in US dollars."""
        return self._reserved / _UNITS_PER_USD

    async def reserve(self, worst_case_usd: float) -> int:
        """Reserve the worst-case cost of a request, waiting for open reservations to be settled where it does not fit.

        Returns:
            The reserved amount in internal units, for `settle`.

        Raises:
            BudgetExceeded: no reservation is open, and the cost does not fit into the rest of the budget.
        """
        amount = math.ceil(worst_case_usd * _UNITS_PER_USD)
        if self._waiters or not self._try_reserve(amount):
            await self._wait(amount)
        return amount

    def settle(self, reserved: int, cost_usd: float) -> None:
        """Replace a reservation by the actual cost, and admit waiting requests that now fit."""
        self._reserved -= reserved
        self._spent += math.ceil(cost_usd * _UNITS_PER_USD)
        self._open_reservations -= 1
        while self._waiters:
            amount, waiter = self._waiters[0]
            if waiter.done():  # cancelled
                self._waiters.popleft()
            elif self._try_reserve(amount):
                self._waiters.popleft()
                waiter.set_result(None)
            elif self._open_reservations:
                return
            else:
                self._waiters.popleft()
                waiter.set_exception(self._exceeded(amount))

    def _try_reserve(self, amount: int) -> bool:
        if self._spent + self._reserved + amount > self._limit:
            return False
        self._reserved += amount
        self._open_reservations += 1
        return True

    async def _wait(self, amount: int) -> None:
        if not self._open_reservations:
            raise self._exceeded(amount)
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((amount, waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.settle(amount, 0.0)  # admitted and cancelled at once
            raise

    def _exceeded(self, amount: int) -> BudgetExceeded:
        rest = (self._limit - self._spent) / _UNITS_PER_USD
        return BudgetExceeded(
            f"the next request could cost up to ${amount / _UNITS_PER_USD:,.6f}, "
            f"but only ${max(0.0, rest):,.6f} of ${self.limit_usd:,.6f} is left",
            place=self.name,
            hint=f"raise `{self.name}` and run the same command again: replies already paid for are reused",
        )
