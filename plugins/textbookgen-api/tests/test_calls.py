"""Calls: parsed without executing anything, and compared by meaning."""

from __future__ import annotations

import pytest
from textbookgen_api.calls import Call, equal_calls, equal_results, parse_call, parse_call_or_none


def test_calls_are_read_as_written():
    call = Call("ship", {"city": "O'Slo", "n": -3, "x": 1.5, "many": ["a", {"b": None}], "yes": True})
    assert parse_call(str(call)) == call


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
        "ship(n=1",
        "x = ship()",
        "ship(n=__import__('os'))",
    ],
)
def test_other_texts_are_not_calls(text: str):
    with pytest.raises(ValueError, match="not a call"):
        parse_call(text)
    assert parse_call_or_none(text) is None


def test_calls_are_equal_by_meaning():
    def same(one: str, other: str, **defaults: object) -> bool:
        return equal_calls(parse_call_or_none(one), parse_call_or_none(other), defaults)

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
        return equal_results(parse_call_or_none(one), parse_call_or_none(other), functions)

    assert same("double(n=2)", "twice(n=2)")
    assert not same("double(n=2)", "double(n=3)")
    assert not same("broken(n=2)", "broken(n=2)")
    assert not same("double(n=2)", "double(m=2)")
    assert not same("double(n=2)", "unknown(n=2)")
    assert not same("double(n=2)", "nothing")
