"""Values sent between processes arrive unchanged, and forbidden names are rejected."""

from __future__ import annotations

import copy
import datetime
import json
import math
from collections import Counter, OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_sandbox.worker import serialization
from textbookgen_sandbox.worker.proxies import _is_allowed

KEYS = st.one_of(
    st.integers(), st.text(), st.booleans(), st.none(), st.tuples(st.integers(), st.text()), st.binary(), st.fractions()
)
LEAVES = st.one_of(
    KEYS,
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    st.sets(KEYS),
    st.frozensets(KEYS),
    st.binary().map(bytearray),
    st.just(...),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.lists(inner).map(deque),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
        st.lists(KEYS).map(Counter),
    ),
    max_leaves=12,
)


def reject(value: Any) -> Any:
    raise AssertionError(f"{value!r} is plain")


def round_trip(value: Any) -> Any:
    return serialization.decode(json.loads(json.dumps(serialization.encode(value, reject))), reject, _is_allowed)


@given(VALUES)
def test_plain_values_survive_a_round_trip(value: Any):
    assert same(round_trip(value), value)


@given(VALUES, VALUES)
def test_a_mutable_value_is_updated_in_place(old: Any, new: Any):
    kept = old
    serialization.update_in_place(old, copy.deepcopy(new))
    assert kept is old
    if type(old) is type(new) and type(old) in serialization.MUTABLE:
        assert same(old, new)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    return all(map(same, one, other)) if isinstance(one, list | tuple | deque) else True


def test_numbers_that_json_has_no_literal_for():
    assert math.isnan(round_trip(math.nan))
    assert [round_trip(x) for x in (math.inf, 10**5000, Decimal("1.10"), Fraction(1, 3), datetime.date.max)] == [
        math.inf, 10**5000, Decimal("1.10"), Fraction(1, 3), datetime.date.max,
    ]  # fmt: skip
    assert str(round_trip(-0.0)) == "-0.0"


@pytest.mark.parametrize(
    "name", ["math.sqrt", "collections.Counter", "functools.reduce", "builtins.len", "builtins.ValueError"]
)
def test_names_of_the_standard_library_resolve_to_the_same_object(name: str):
    module, attribute = name.split(".")
    value = getattr(__import__(module), attribute)
    assert round_trip(value) is value


@pytest.mark.parametrize(
    "named",
    [
        ["shared", "os", "_exit"],
        ["shared", "sys", "exit"],
        ["shared", "statistics", "sys"],
        ["shared", "random", "_os"],
        ["shared", "unittest.mock", "ANY"],
        ["shared", "math", "__loader__"],
        ["module", "os"],
        ["module", "unittest.mock"],
        ["builtin", "exec"],
        ["builtin", "open"],
        ["builtin", "__import__"],
        ["builtin", "exit"],
    ],
)
def test_names_with_side_effects_are_rejected(named: list[str]):
    with pytest.raises((ValueError, AttributeError)):
        serialization.decode(named, reject, _is_allowed)
