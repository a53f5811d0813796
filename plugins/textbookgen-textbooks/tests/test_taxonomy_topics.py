"""Topics of a taxonomy: drawn with styles and audiences that suit them, and without near-duplicates."""

from __future__ import annotations

from collections import Counter
from random import Random

import polars as pl
import pytest
from textbookgen_textbooks.disciplines import audiences_for, disciplines, kind_of, styles_for
from textbookgen_textbooks.distinct_topics import DistinctTopics, title_key
from textbookgen_textbooks.taxonomy_topics import Disciplines, TaxonomyTopics

from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats
from textbookgen.testing import documents, write_documents

PATHS = ["geography/maps/scale/reading a map scale", "nursing/wards/rounds/a morning round", "own field/a/b/c"]


def prepared(tmp_path, **options):
    sampler = TaxonomyTopics(inputs="tree", **options)
    sampler.prepare({"tree": write_documents(tmp_path / "tree", documents(PATHS))}, tmp_path)
    return sampler


def draws(sampler, count):
    return [sampler.draw(n, Random(n), AcceptedStats()) for n in range(count)]


def test_topics_are_drawn_once_before_any_is_drawn_again_with_their_path(tmp_path):
    drawn = draws(prepared(tmp_path), 6)
    assert Counter(each["topic"] for each in drawn) == dict.fromkeys((path.split("/")[-1] for path in PATHS), 2)
    (one,) = {each["course"] for each in drawn if each["topic"] == "a morning round"}
    assert one == "nursing > wards > rounds"
    assert [each["topic"] for each in drawn] == [each["topic"] for each in draws(prepared(tmp_path / "again"), 6)]


def test_styles_and_audiences_suit_the_discipline(tmp_path):
    drawn = draws(prepared(tmp_path), 900)
    seen: dict[str, set[str]] = {}
    for each in drawn:
        seen.setdefault(each["discipline"], set()).update((each["audience"], each["style"]))
    assert "a nurse between two shifts" in seen["nursing"] and "notebook" in seen["geography"]
    assert "a nurse between two shifts" not in seen["geography"] | seen["own field"]
    assert "a child of eight" not in seen["nursing"] and "notebook" not in seen["nursing"]
    assert 0.2 < sum(each["persona"] is not None for each in drawn) / 900 < 0.3


def test_every_listed_discipline_has_a_kind_with_several_styles_and_audiences():
    assert len(disciplines()) == len(set(disciplines())) == 126
    for name in (*disciplines(), "a field that is not listed"):
        assert len(styles_for(name)) >= 4 and len(audiences_for(name)) >= 4
    assert kind_of("Soil  Science") == "nature" and kind_of("alchemy") is None
    known = {kind_of(name) for name in disciplines()}
    for fitting in (item for name in disciplines() for item in (*styles_for(name), *audiences_for(name))):
        assert fitting.kinds <= known


def test_disciplines_are_drawn_in_order_and_each_once():
    drawn = [each["discipline"] for each in draws(Disciplines(), 126)]
    assert drawn == list(disciplines())
    assert [each["discipline"] for each in draws(Disciplines(disciplines=("a", "b")), 3)] == ["a", "b", "a"]


def test_no_topics_is_an_error(tmp_path):
    sampler = TaxonomyTopics(inputs="tree")
    with pytest.raises(RunError, match="has no topics"):
        sampler.prepare({"tree": write_documents(tmp_path / "tree", documents([]))}, tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Supply and demand", "Demand and Supply"),
        ("Introduction to photosynthesis", "Photosynthesis"),
        ("The basics of Newton's laws", "Newton’s law"),
        ("Measuring tides", "the measure of a tide"),
    ],
)
def test_titles_that_say_the_same_have_one_key(one: str, other: str):
    assert title_key(one) == title_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Newton's first law", "Newton's second law"), ("rainfall", "snowfall"), ("Principles", "Basics"), ("数学", "物理")],
)
def test_titles_that_say_something_else_have_two(one: str, other: str):
    assert title_key(one) != title_key(other)


def test_of_nearly_equal_topics_the_first_is_kept_across_disciplines():
    docs = documents(["economics/x/y/Supply and demand", "law/x/y/Offer", "business/x/y/Demand and supply"])
    stage = DistinctTopics(inputs="tree")
    verdicts = stage.decide(stage.sketch(docs).lazy(), docs.lazy())
    assert verdicts["keep"].to_list() == [True, True, False]
    assert verdicts["reason"].to_list() == [None, None, "nearly the same title"]
    assert verdicts["detail"][2] == f"as {docs['id'][0]}"
    columns = pl.DataFrame(
        {"id": ["a"], "text": ["economics/…/Tax"], "textbooks.discipline": ["economics"], "textbooks.topic": ["Tax"]}
    )
    assert stage.sketch(columns)["key"].to_list() == ["tax"]
