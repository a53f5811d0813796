"""Values sent between processes arrive unchanged, and forbidden names are rejected."""

from __future__ import annotations

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
from textbookgen_sandbox.worker.proxy_client import _is_allowed
from textbookgen_sandbox.worker.serialization import Codec
from textbookgen_sandbox.worker.shared_values import SharedValues

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


def codecs() -> tuple[Codec, Codec]:
    """Return those of the tests and of the program."""
    return Codec(SharedValues(0), reject, reject, _is_allowed), Codec(SharedValues(1), reject, reject, _is_allowed)


def send(value: Any, one: Codec, other: Codec) -> Any:
    return other.decode(json.loads(json.dumps(one.encode(value))))


def round_trip(value: Any) -> Any:
    return send(value, *codecs())


@given(VALUES)
def test_plain_values_survive_a_round_trip(value: Any):
    assert same(round_trip(value), value)


@given(st.lists(VALUES), VALUES)
def test_both_copies_of_a_mutable_value_change_together(mine: list[Any], new: Any):
    tests, program = codecs()
    theirs = send(mine, tests, program)
    theirs.append(new)
    for change in json.loads(json.dumps(program.encode_changes(all_of_them=True))):
        tests.decode(change)
    assert same(mine, theirs)
    assert send(theirs, program, tests) is mine
    assert program.encode_changes(all_of_them=True) == tests.encode_changes(all_of_them=True) == []


@given(st.lists(st.lists(st.integers()), min_size=1))
def test_items_keep_their_identity_and_may_occur_twice(rows: list[list[int]]):
    tests, program = codecs()
    copies = send([*rows, rows[0]], tests, program)
    assert copies[0] is copies[-1]
    copies[0].append(7)
    inner = rows[0]
    for change in program.encode_changes(all_of_them=True):
        tests.decode(change)
    assert rows[0] is inner and inner[-1] == 7


def test_a_list_may_contain_itself():
    value: list[Any] = [1]
    value.append(value)
    copied = round_trip(value)
    assert copied[1] is copied


def test_what_is_followed_is_bounded():
    tests, program = codecs()
    kept = [list(range(10)) for _ in range(1_000)]
    for each in kept:
        send(each, tests, program)
    tests.shared.prune()
    program.shared.forget(tests.shared.take_forgotten())
    assert 0 < len(tests.shared.values) < 200
    assert list(tests.shared.values) == list(program.shared.values)
    assert same(send(kept[0], tests, program), kept[0])


def test_a_value_that_nothing_refers_to_is_forgotten():
    tests, program = codecs()
    send([1, 2], program, tests)
    tests.shared.prune()
    assert not tests.shared.values


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
        codecs()[0].decode(named)
