"""RateLimiter and Budget: fairness, adaptation, cancellation, and sums that are never exceeded."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textbookgen.api.errors import BudgetExceeded
from textbookgen.llm import Budget, RateLimiter

# -- rate limiter


def test_the_concurrency_limit_falls_with_many_rejections_and_recovers() -> None:
    async def send(rate_limiter: RateLimiter, requests: int, rejected_share: float) -> None:
        for n in range(requests):
            await rate_limiter.acquire("x", 1)
            rate_limiter.release(1, 1, rejected=(n % 100) < rejected_share * 100)

    async def run() -> None:
        rate_limiter = RateLimiter(64)
        await send(rate_limiter, 1000, 0.05)
        assert rate_limiter.limit == 64
        await send(rate_limiter, 1000, 1.0)
        assert rate_limiter.limit == 1
        await send(rate_limiter, 1000, 0.0)
        assert rate_limiter.limit == 64
        assert rate_limiter.in_flight == 0

    asyncio.run(run())


def test_callers_take_turns_however_many_requests_each_has() -> None:
    async def run() -> list[str]:
        rate_limiter, order = RateLimiter(1), []

        async def send(caller: str) -> None:
            await rate_limiter.acquire(caller, 1)
            await asyncio.sleep(0)
            order.append(caller)
            rate_limiter.release(1, 1)

        await asyncio.gather(*(send(caller) for caller in "aaaaaaaabb"))
        return order

    assert "".join(asyncio.run(run())) == "aababaaaaa"


def test_a_cancelled_waiter_holds_no_slot() -> None:
    async def run() -> None:
        rate_limiter = RateLimiter(1)
        await rate_limiter.acquire("a", 1)
        waiting = [asyncio.create_task(rate_limiter.acquire("b", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        rate_limiter.release(1, 1)
        waiting[1].cancel()  # admitted, but it has not run since
        await asyncio.wait(waiting, timeout=1)
        assert waiting[2].done()
        assert rate_limiter.in_flight == 1

    asyncio.run(run())


def test_a_waiter_cancelled_in_the_leaky_bucket_holds_no_slot() -> None:
    async def run() -> None:
        rate_limiter = RateLimiter(4, requests_per_minute=1)
        await rate_limiter.acquire("a", 1)
        waiting = asyncio.create_task(rate_limiter.acquire("a", 1))
        await asyncio.sleep(0.01)
        assert rate_limiter.in_flight == 2
        waiting.cancel()
        await asyncio.wait([waiting])
        assert rate_limiter.in_flight == 1

    asyncio.run(run())


# -- budget


def test_a_budget_without_limit_counts() -> None:
    async def run() -> None:
        budget = Budget()
        for _ in range(3):
            budget.settle(await budget.reserve(5.0), 0.1)
        assert budget.spent_usd == pytest.approx(0.3)
        assert budget.reserved_usd == 0

    asyncio.run(run())


def test_a_request_that_does_not_fit_waits_for_what_others_leave() -> None:
    async def run() -> None:
        budget = Budget(1.0)
        first = await budget.reserve(0.9)
        second = asyncio.create_task(budget.reserve(0.5))
        await asyncio.sleep(0)
        assert not second.done()
        budget.settle(first, 0.3)
        budget.settle(await second, 0.5)
        assert budget.spent_usd == pytest.approx(0.8)
        with pytest.raises(BudgetExceeded) as caught:
            await budget.reserve(0.25)
        assert caught.value.place == "budget_usd"
        assert "up to $0.250000, but only $0.200000 of $1.000000" in caught.value.problem

    asyncio.run(run())


def test_all_waiters_fail_once_nothing_is_in_flight() -> None:
    async def run() -> None:
        budget = Budget(1.0)
        first = await budget.reserve(1.0)
        waiting = [asyncio.create_task(budget.reserve(0.5)) for _ in range(3)]
        await asyncio.sleep(0)
        budget.settle(first, 0.9)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [BudgetExceeded] * 3

    asyncio.run(run())


def test_a_cancelled_waiter_reserves_nothing() -> None:
    async def run() -> None:
        budget = Budget(1.0)
        first = await budget.reserve(1.0)
        waiting = [asyncio.create_task(budget.reserve(1.0)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        budget.settle(first, 0.0)
        waiting[1].cancel()  # admitted, but it has not run since
        await asyncio.wait(waiting, timeout=1)
        assert waiting[2].done()
        assert budget.reserved_usd == 1.0

    asyncio.run(run())


@settings(max_examples=50, deadline=None)
@given(
    limit=st.floats(0.1, 10),
    requests=st.lists(st.tuples(st.floats(0.001, 3), st.floats(0, 1)), max_size=40),
    seed=st.integers(0, 2**16),
)
def test_spent_and_reserved_never_exceed_the_limit(limit: float, requests: list[tuple[float, float]], seed: int) -> None:
    rng = random.Random(seed)

    async def run() -> None:
        budget = Budget(limit)

        async def send(worst_case: float, share: float) -> None:
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            try:
                reserved = await budget.reserve(worst_case)
            except BudgetExceeded:
                return
            assert budget.spent_usd + budget.reserved_usd <= limit + 1e-9
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            budget.settle(reserved, worst_case * share)

        await asyncio.gather(*(send(*request) for request in requests))
        assert budget.reserved_usd == 0
        assert budget.spent_usd <= limit + 1e-9

    asyncio.run(run())
