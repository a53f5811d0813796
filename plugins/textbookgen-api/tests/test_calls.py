"""Calls: parsed without executing anything, and compared by meaning."""

from __future__ import annotations

import pytest
from textbookgen_api.calls import Call, Result, Slot, equal_plans, equal_results, parse_plan, parse_plan_or_none, write_plan


def test_calls_are_read_as_written():
    call = Call("ship", {"city": "O'Slo", "n": -3, "x": 1.5, "many": ["a", {"b": None}], "yes": True})
    assert parse_plan(str(call)) == (call,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ship",
        "ship(3)",
        "ship(n=m)",
        "ship(n=f())",
        "a.ship(n=1)",
        "ship(**x)",
        "ship(n=1); x",
        "ship(n=a); a = find()",
        "a = b = find()",
        "a.b = find()",
        "import os",
        "for a in find(): ship(n=a)",
        "ship(n=1",
        "ship(n=__import__('os'))",
    ],
)
def test_other_texts_are_not_calls(text: str):
    with pytest.raises(ValueError, match="not a call"):
        parse_plan(text)
    assert parse_plan_or_none(text) is None


def test_calls_are_equal_by_meaning():
    def same(one: str, other: str, **defaults: object) -> bool:
        return equal_plans(parse_plan_or_none(one), parse_plan_or_none(other), {"f": defaults})

    assert same("f(a=1, b='x')", "f(b = 'x', a=1.0)")
    assert same("f(a=[1, 2])", "f(a=(1, 2))")
    assert same("f(a=1)", "f(a=1, b=False)", b=False)
    assert not same("f(a=1)", "f(a=1, b=True)", b=False)
    assert not same("f(a=1)", "g(a=1)")
    assert not same("f(a=1)", "f(a=2)")
    assert not same("f(a=1)", "f(a=True)")
    assert not same("f(a='1')", "f(a=1)")
    assert not same("f(a=1)", "no call")


def test_results_are_compared_by_executing_calls():
    functions = {"double": lambda n: 2 * n, "twice": lambda n: n + n, "broken": lambda n: 1 / 0}

    def same(one: str, other: str) -> bool:
        return equal_results(parse_plan_or_none(one), parse_plan_or_none(other), functions)

    assert same("double(n=2)", "twice(n=2)")
    assert not same("double(n=2)", "double(n=3)")
    assert not same("broken(n=2)", "broken(n=2)")
    assert not same("double(n=2)", "double(m=2)")
    assert not same("double(n=2)", "unknown(n=2)")
    assert not same("double(n=2)", "nothing")


PLAN = (Call("find", {"dish": "soup"}), Call("say", {}), Call("add", {"item": Result(0)}), Call("send", {"text": Result(0)}))


def test_plans_pass_results_on():
    text = "a = find(dish='soup'); say(); add(item=a); send(text=a)"
    assert write_plan(PLAN) == text
    assert parse_plan(text) == PLAN
    assert (
        parse_plan(text.replace("; ", "\n").replace("a", "result").replace("sresulty", "say").replace("resultdd", "add"))
        == PLAN
    )
    assert parse_plan("a = f(); b = g(x=a); h(y=b)")[2].arguments == {"y": Result(1)}
    assert parse_plan("f(x=city)", with_slots=True)[0].arguments == {"x": Slot("city")}


def test_plans_are_equal_by_meaning():
    def same(one: str, other: str) -> bool:
        return equal_plans(parse_plan_or_none(one), parse_plan_or_none(other), {"add": {"quantity": 1}})

    assert same("x = find(d='a'); add(item=x)", "a = find(d='a'); add(quantity=1, item=a)")
    assert not same("a = find(d='a'); add(item=a)", "add(item='a'); find(d='a')")
    assert not same("f(); g()", "g(); f()")
    assert not same("f(); g()", "f()")
    assert not same("a = f(); b = g(); h(x=a)", "a = f(); b = g(); h(x=b)")
    assert not same("a = f(); h(x=a)", "a = f(); h(x='a')")


def test_results_of_plans_are_compared_by_executing_them():
    functions = {"two": lambda: 2, "double": lambda n: 2 * n, "broken": lambda n: 1 / 0}

    def same(one: str, other: str) -> bool:
        return equal_results(parse_plan_or_none(one), parse_plan_or_none(other), functions)

    assert same("a = two(); double(n=a)", "x = two(); double(n=2)")
    assert not same("a = two(); double(n=a)", "a = two(); double(n=3)")
    assert not same("a = two(); broken(n=a)", "a = two(); broken(n=a)")
