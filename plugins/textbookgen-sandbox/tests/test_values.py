"""Values that cross the wire arrive as they were, and only those that may."""

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
from textbookgen_sandbox.inside import values
from textbookgen_sandbox.inside.standins import _may

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


def nowhere(value: Any) -> Any:
    raise AssertionError(f"{value!r} is plain")


def there_and_back(value: Any) -> Any:
    return values.decode(json.loads(json.dumps(values.encode(value, nowhere))), nowhere, _may)


@given(VALUES)
def test_plain_values_arrive_as_they_were(value: Any):
    assert same(there_and_back(value), value)


@given(VALUES, VALUES)
def test_what_was_handed_over_looks_like_what_it_became(old: Any, new: Any):
    kept = old
    values.refill(old, copy.deepcopy(new))
    assert kept is old
    if type(old) is type(new) and type(old) in values.CAN_CHANGE:
        assert same(old, new)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(same(one[key], other[key]) for key in one)
    return all(map(same, one, other)) if isinstance(one, list | tuple | deque) else True


def test_numbers_json_has_no_word_for():
    assert math.isnan(there_and_back(math.nan))
    assert [there_and_back(x) for x in (math.inf, 10**5000, Decimal("1.10"), Fraction(1, 3), datetime.date.max)] == [
        math.inf, 10**5000, Decimal("1.10"), Fraction(1, 3), datetime.date.max,
    ]  # fmt: skip
    assert str(there_and_back(-0.0)) == "-0.0"


@pytest.mark.parametrize(
    "name", ["math.sqrt", "collections.Counter", "functools.reduce", "builtins.len", "builtins.ValueError"]
)
def test_what_is_shared_is_the_same_on_both_sides(name: str):
    module, attribute = name.split(".")
    value = getattr(__import__(module), attribute)
    assert there_and_back(value) is value


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
def test_a_program_cannot_name_what_would_harm_its_tests(named: list[str]):
    with pytest.raises((ValueError, AttributeError)):
        values.decode(named, nowhere, _may)
