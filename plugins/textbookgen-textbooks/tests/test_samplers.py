"""Samplers: pure functions of their random numbers, diverse, and within their options."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.function_names import (
    FunctionNames,
    concepts_for,
    listed_concepts,
    name_objects,
    qualifiers,
    verbs,
)
from textbookgen_textbooks.page_topics import PageTopics, known_topics
from textbookgen_textbooks.practised_concepts import known_concepts
from textbookgen_textbooks.word_lists import list_entries

from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats


def draws(sampler, count: int) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in range(count)]


def test_names_are_functions_and_almost_all_different():
    samples = draws(FunctionNames(), 5_000)
    names = [sample["function_name"] for sample in samples]
    assert all(name.isidentifier() and name == name.lower() for name in names)
    assert len(set(names)) > 4_750
    assert samples == draws(FunctionNames(), 5_000)


def test_every_name_consists_of_words_that_fit_each_other_and_the_concept():
    for sample in draws(FunctionNames(unqualified_share=0), 500):
        name, (first, *further) = sample["function_name"], sample["argument_types"]
        if not further and any(name == f"{verb}_{noun}" for noun, kind, _ in name_objects() for verb, _ in verbs(kind)):
            continue  # few actions have no qualifiers
        assert any(
            name == f"{verb}_{noun}_{ending}" and first == type_hint and further == list(wanted)
            for noun, kind, type_hint in name_objects()
            if f"_{noun}_" in name
            for verb, action in verbs(kind)
            if sample["concept"] in concepts_for(kind, action)
            for ending, wanted in qualifiers(kind, action)
            if name.endswith(f"_{ending}")
        ), name


def test_every_verb_has_concepts():
    for kind in {kind for _, kind, _ in name_objects()}:
        assert len(verbs(kind)) >= 10
        assert not [verb for verb in verbs(kind) if not concepts_for(kind, verb.action)]


def test_every_concept_has_a_detector_and_is_drawn():
    assert set(listed_concepts()) == set(known_concepts())
    assert {sample["concept"] for sample in draws(FunctionNames(), 5_000)} == set(known_concepts())


def test_only_the_wanted_concepts_are_drawn_with_names_that_suit_them():
    samples = draws(FunctionNames(concepts=("flattening", "recursion", "regular expressions")), 300)
    assert {sample["concept"] for sample in samples} == {"flattening", "recursion", "regular expressions"}
    types = {sample["argument_types"][0] for sample in samples if sample["concept"] == "flattening"}
    assert types == {"list[list[int]]"}


def test_the_share_of_names_without_qualifier():
    bare = {f"{verb}_{noun}" for noun, kind, _ in name_objects() for verb, _ in verbs(kind)}
    share = sum(sample["function_name"] in bare for sample in draws(FunctionNames(unqualified_share=0.5), 2_000)) / 2_000
    assert 0.45 < share < 0.6


def test_avoided_names_are_never_drawn_in_any_order_of_their_words():
    sampler = FunctionNames()
    name = sampler.draw(0, Random("seed/0"), AcceptedStats())["function_name"]
    other = FunctionNames(avoid=("_".join(reversed(name.upper().split("_"))),)).draw(0, Random("seed/0"), AcceptedStats())
    assert sorted(other["function_name"].split("_")) != sorted(name.split("_"))


def test_nothing_left_to_draw_is_an_error(monkeypatch: pytest.MonkeyPatch):
    class Narrow(FunctionNames):
        def _name(self, rng: Random) -> tuple[str, list[str], str]:
            return "add_numbers", ["list[int]"], "recursion"

    with pytest.raises(RunError, match="avoid"):
        Narrow(avoid=("add_numbers",)).draw(0, Random(0), AcceptedStats())


def test_page_topics_are_drawn_from_the_lists_or_the_given_ones():
    samples = draws(PageTopics(topics=("a", "b"), difficulties=(3,)), 400)
    assert {sample["topic"] for sample in samples} == {"a", "b"}
    assert {sample["difficulty"] for sample in samples} == {3}
    assert {sample["audience"] for sample in samples} == {line.rpartition(" : ")[0] for line in list_entries("audiences")}
    assert {sample["style"] for sample in samples} == set(list_entries("styles"))
    assert "required_terms" not in samples[0]


def test_topic_audience_and_skill_fit_each_other():
    samples = draws(PageTopics(), 4_000)
    assert {sample["topic"] for sample in samples} == set(known_topics()) and len(known_topics()) == 180
    child = [sample["topic"] for sample in samples if "child" in sample["audience"]]
    assert "counting letters" in child and all(known_topics()[topic].stage == 1 for topic in child)
    stages = {known_topics()[sample["topic"]].stage for sample in samples if "programmer" in sample["audience"]}
    assert stages == {1, 2, 3}
    subjects = {known_topics()[sample["topic"]].subject for sample in samples if sample["skill"] == "using a loop invariant"}
    assert subjects == {"loops", "sorting and searching", "algorithms on lists", "numbers"}


def test_the_grid_counts_the_pairs_that_can_be_drawn():
    sampler = PageTopics()
    drawn = {sampler.grid().cell(sample) for sample in draws(sampler, 40_000)}
    assert len(drawn) == sampler.grid().cells
    assert PageTopics(topics=("a", "b", "b"), audiences=("x", "y")).grid().cells == 4


def test_a_topic_without_an_audience_is_refused():
    with pytest.raises(ValidationError, match="topological order"):
        PageTopics(topics=("topological order",), audiences=("a curious child of eleven who has only used block programming",))
    assert PageTopics(topics=("topological order",), audiences=("a child",)).draw(0, Random(0), AcceptedStats())


def test_subjects_of_skills_and_concepts_of_topics_exist():
    subjects = {topic.subject for topic in known_topics().values()} | {"*"}
    for line in list_entries("skills"):
        assert set(line.partition(" : ")[2].split("; ")) <= subjects
    for line in list_entries("topic_concepts"):
        topic, _, concept = line.partition(" : ")
        assert topic in known_topics() and concept in known_concepts()


def test_required_terms_are_drawn_without_repeats():
    samples = draws(PageTopics(required_terms=("zip", "sum", "len"), terms_per_page=2), 100)
    assert all(len(set(sample["required_terms"])) == 2 for sample in samples)
    with pytest.raises(ValidationError, match="required_terms"):
        PageTopics(required_terms=("zip",), terms_per_page=2)


@pytest.mark.parametrize("name", ["page_topics", "audiences", "skills", "styles", "concepts"])
def test_lists_have_no_duplicates(name: str):
    assert len(set(list_entries(name))) == len(list_entries(name)) >= 8
