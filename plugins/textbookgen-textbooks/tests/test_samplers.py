"""Samplers: pure functions of their random numbers, various, and within what was asked."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.function_names import FunctionNames, _objects, _qualifiers, _verbs
from textbookgen_textbooks.lessons import Lessons
from textbookgen_textbooks.wordlists import lines

from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats


def draws(sampler, count: int) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in range(count)]


def test_names_are_functions_and_almost_all_different():
    drawn = draws(FunctionNames(), 5_000)
    names = [each["function_name"] for each in drawn]
    assert all(name.isidentifier() and name == name.lower() for name in names)
    assert len(set(names)) > 4_900
    assert drawn == draws(FunctionNames(), 5_000)


def test_every_name_can_be_taken_apart_into_words_that_suit_each_other():
    for each in draws(FunctionNames(plain=0), 500):
        name, (first, *further) = each["function_name"], each["arguments"]
        assert any(
            name == f"{verb}_{noun}_{ending}" and first == type_hint and further == list(wanted)
            for noun, kind, type_hint in _objects()
            if f"_{noun}_" in name
            for ending, wanted in _qualifiers(kind)
            if name.endswith(f"_{ending}")
            for verb in _verbs(kind)
        ), name


def test_every_kind_of_object_has_verbs_and_qualifiers():
    for kind in {kind for _, kind, _ in _objects()}:
        assert len(_verbs(kind)) >= 20
        assert len(_qualifiers(kind)) >= 10


def test_plain_is_the_share_without_qualifier():
    bare = {f"{verb}_{noun}" for noun, kind, _ in _objects() for verb in _verbs(kind)}
    share = sum(each["function_name"] in bare for each in draws(FunctionNames(plain=0.5), 2_000)) / 2_000
    assert 0.45 < share < 0.55


def test_avoided_names_never_come_whatever_the_order_of_their_words():
    sampler = FunctionNames()
    name = sampler.draw(0, Random("seed/0"), AcceptedStats())["function_name"]
    other = FunctionNames(avoid=("_".join(reversed(name.upper().split("_"))),)).draw(0, Random("seed/0"), AcceptedStats())
    assert sorted(other["function_name"].split("_")) != sorted(name.split("_"))


def test_nothing_left_to_draw_is_an_error(monkeypatch: pytest.MonkeyPatch):
    class Narrow(FunctionNames):
        def _name(self, rng: Random) -> tuple[str, list[str]]:
            return "add_numbers", ["list[int]"]

    with pytest.raises(RunError, match="avoid"):
        Narrow(avoid=("add_numbers",)).draw(0, Random(0), AcceptedStats())


def test_lessons_draw_from_the_lists_or_from_yours():
    drawn = draws(Lessons(topic=("a", "b"), difficulty=(3,)), 400)
    assert {each["topic"] for each in drawn} == {"a", "b"}
    assert {each["difficulty"] for each in drawn} == {3}
    assert {each["audience"] for each in drawn} == set(lines("audiences"))
    assert {each["style"] for each in drawn} == set(lines("styles"))
    assert "must_use" not in drawn[0]


def test_words_to_use_are_drawn_without_repeats():
    drawn = draws(Lessons(must_use=("zip", "sum", "len"), words=2), 100)
    assert all(len(set(each["must_use"])) == 2 for each in drawn)
    with pytest.raises(ValidationError, match="must_use"):
        Lessons(must_use=("zip",), words=2)


@pytest.mark.parametrize("name", ["topics", "audiences", "skills", "styles", "concepts"])
def test_lists_hold_no_line_twice(name: str):
    assert len(set(lines(name))) == len(lines(name)) >= 8
