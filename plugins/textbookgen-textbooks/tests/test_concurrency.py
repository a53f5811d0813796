"""Concurrent requests keep their order and are cancelled together; random numbers depend on the draw."""

from __future__ import annotations

import asyncio

import pytest
from textbookgen_textbooks.concurrency import gather, gather_usable
from textbookgen_textbooks.seeding import draw_rng

from textbookgen.api.errors import BudgetExceeded, RequestRefused, UnusableReply


async def after(seconds: float, value: object, log: list) -> object:
    await asyncio.sleep(seconds)
    log.append(value)
    if isinstance(value, Exception):
        raise value
    return value


def test_results_are_in_order():
    assert asyncio.run(gather([after(0.02, "a", []), after(0, "b", [])])) == ["a", "b"]


def test_the_first_error_cancels_the_others():
    log: list = []
    with pytest.raises(BudgetExceeded):
        asyncio.run(gather([after(0.2, "slow", log), after(0, BudgetExceeded("spent"), log)]))
    assert len(log) == 1


def test_refusals_and_unusable_replies_are_left_out_and_other_errors_are_raised():
    coroutines = [after(0, "a", []), after(0, RequestRefused("no"), []), after(0, UnusableReply("no"), []), after(0, "b", [])]
    assert asyncio.run(gather_usable(coroutines)) == ["a", "b"]
    with pytest.raises(BudgetExceeded):
        asyncio.run(gather_usable([after(0, "a", []), after(0, BudgetExceeded("spent"), [])]))


def test_random_numbers_depend_on_the_draw_and_the_document_id():
    draw = {"topic": "rain", "document": {"id": "a", "text": "x"}}
    assert draw_rng(draw).random() == draw_rng({"document": {"id": "a", "step": "y"}, "topic": "rain"}).random()
    assert draw_rng(draw).random() != draw_rng(draw, "more").random()
    assert draw_rng(draw).random() != draw_rng({**draw, "document": {"id": "b"}}).random()
