"""Asking side by side: order is kept, errors call the others off, chance belongs to the draw."""

from __future__ import annotations

import asyncio

import pytest
from textbookgen_textbooks.together import chance, side_by_side, those_that_worked

from textbookgen.api.errors import BudgetExceeded, RequestRefused, UnusableReply


async def after(seconds: float, value: object, log: list) -> object:
    await asyncio.sleep(seconds)
    log.append(value)
    if isinstance(value, Exception):
        raise value
    return value


def test_results_come_in_the_order_asked():
    assert asyncio.run(side_by_side([after(0.02, "a", []), after(0, "b", [])])) == ["a", "b"]


def test_the_first_error_calls_the_others_off():
    log: list = []
    with pytest.raises(BudgetExceeded):
        asyncio.run(side_by_side([after(0.2, "slow", log), after(0, BudgetExceeded("spent"), log)]))
    assert len(log) == 1


def test_refusals_leave_a_gap_and_other_errors_do_not():
    works = [after(0, "a", []), after(0, RequestRefused("no"), []), after(0, UnusableReply("no"), []), after(0, "b", [])]
    assert asyncio.run(those_that_worked(works)) == ["a", "b"]
    with pytest.raises(BudgetExceeded):
        asyncio.run(those_that_worked([after(0, "a", []), after(0, BudgetExceeded("spent"), [])]))


def test_chance_belongs_to_the_draw_and_the_document():
    draw = {"topic": "rain", "document": {"id": "a", "text": "x"}}
    assert chance(draw).random() == chance({"document": {"id": "a", "step": "y"}, "topic": "rain"}).random()
    assert chance(draw).random() != chance(draw, "more").random()
    assert chance(draw).random() != chance({**draw, "document": {"id": "b"}}).random()
