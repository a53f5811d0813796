"""Samplers are pure functions of what they are given, and cover what they say they cover."""

import itertools
import pickle
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from textbookgen.api.errors import RunError
from textbookgen.api.sampler import AcceptedStats, Grid
from textbookgen.builtin.samplers.basic import (
    BUILT_IN,
    FreshOpeningsSampler,
    GridSampler,
    LeastCoveredSampler,
    LinesSampler,
    Passages,
    ProductSampler,
    TaxonomySampler,
    UncoveredSampler,
    WeightedSampler,
    WordsSampler,
)
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.testing import documents, write_documents

ONE_OF_EACH = [
    GridSampler(topic=["rain", "snow"], level=[1, 2, 3]),
    WeightedSampler(tone={"plain": 3, "funny": 1}, place=["sea", "wood"]),
    WordsSampler(noun=["cat", "dog"], features=["twist", "moral", "dialogue"], k={"features": [0, 2]}),
    TaxonomySampler(tree=["a/b/c", "a/b/d", "e/f"], levels=["top"]),
    LinesSampler(lines=["one two three", "four"], words=2),
    ProductSampler(words={"use": "words", "noun": ["cat", "dog"]}, tone={"use": "weighted", "tone": {"plain": 3, "funny": 1}}),
    LeastCoveredSampler(topic=["rain", "snow"]),
    UncoveredSampler(topic=["rain", "snow"], level=[1, 2, 3], never=[{"topic": "snow", "level": [2, 3]}]),
    FreshOpeningsSampler(of={"use": "grid", "topic": ["rain", "snow"]}),
]


def draws(sampler, count: int, seen: AcceptedStats | None = None) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), seen or AcceptedStats()) for n in range(count)]


def test_each_class_is_here():
    assert {type(each) for each in ONE_OF_EACH} | {Passages} == set(BUILT_IN)


@pytest.mark.parametrize("sampler", ONE_OF_EACH, ids=lambda sampler: sampler.name)
def test_draws_depend_on_nothing_else(sampler):
    expected = draws(sampler, 40)
    again = type(sampler)(**sampler.model_dump())
    assert again == sampler
    assert draws(pickle.loads(pickle.dumps(again)), 40) == expected
    assert [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in reversed(range(40))] == expected[::-1]
    assert len({str(draw) for draw in expected}) > 1


@pytest.mark.parametrize("sampler", ONE_OF_EACH, ids=lambda sampler: sampler.name)
def test_every_option_has_a_description(sampler):
    assert all(field.description for field in type(sampler).model_fields.values())


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 10), st.integers(0, 3))
def test_a_grid_walks_every_combination_once_in_every_tour(sizes, seed, tour):
    grid = GridSampler(seed=seed, **{f"field{k}": [f"{k}.{v}" for v in range(size)] for k, size in enumerate(sizes)})
    cells = [
        tuple(grid.draw(n, Random(0), AcceptedStats()).values()) for n in range(tour * grid.cells, (tour + 1) * grid.cells)
    ]
    assert len(set(cells)) == len(cells) == grid.cells


def test_a_grid_is_mixed_and_another_tour_or_seed_is_mixed_otherwise():
    grid = GridSampler(a=list(range(20)), b=list(range(20)))
    first = [tuple(draw.values()) for draw in draws(grid, 800)]
    assert first[:400] != first[400:]
    assert first[:400] != [
        tuple(draw.values()) for draw in draws(GridSampler(a=list(range(20)), b=list(range(20)), seed=1), 400)
    ]
    assert len({a for a, _ in first[:40]}) > 12  # 40 draws of 20 values see 17 of them on average
    neighbours = sum(abs(one[0] - two[0]) <= 1 for one, two in itertools.pairwise(first))
    assert neighbours < 200  # about 117 if draws are independent


def test_a_grid_of_a_billion_cells_is_as_quick():
    grid = GridSampler(**{name: list(range(1000)) for name in "abc"})
    assert grid.cells == 10**9
    assert len({tuple(draw.values()) for draw in draws(grid, 2000)}) == 2000


def test_a_value_alone_is_always_drawn():
    assert {draw["language"] for draw in draws(GridSampler(language="Python", topic=["a", "b"]), 4)} == {"Python"}


def test_weights_are_kept():
    counts = Counter(draw["tone"] for draw in draws(WeightedSampler(tone={"plain": 3, "funny": 1, "never": 0}), 2000))
    assert 1400 < counts["plain"] < 1600
    assert counts["never"] == 0


def test_words_are_as_many_as_said_and_no_two_the_same():
    sampler = WordsSampler(noun=["cat", "dog"], features=["a", "b", "c", "d"], k={"features": [0, 3]})
    drawn = draws(sampler, 500)
    assert {draw["noun"] for draw in drawn} == {"cat", "dog"}
    assert {len(draw["features"]) for draw in drawn} == {0, 1, 2, 3}
    assert all(len(set(draw["features"])) == len(draw["features"]) for draw in drawn)
    assert all(len(draw["noun"]) == 2 for draw in draws(WordsSampler(noun=["cat", "dog", "cow"], k=2), 20))


def test_a_taxonomy_walks_leaves_or_gives_branches_the_same_chance():
    tree = {"wide": [f"leaf{n}" for n in range(9)], "narrow": {"deep": "leaf"}}
    leaves = [draw["path"] for draw in draws(TaxonomySampler(tree=tree), 20)]
    assert len(set(leaves[:10])) == len(set(leaves[10:])) == 10
    branches = Counter(
        draw["branch"] for draw in draws(TaxonomySampler(tree=tree, levels=["branch"], balance="branches"), 1000)
    )
    assert 430 < branches["narrow"] < 570
    assert TaxonomySampler(tree=["narrow/deep/leaf"]).draw(0, Random(), AcceptedStats()) == {
        "topic": "leaf",
        "path": "narrow/deep/leaf",
    }


def test_a_topic_may_have_topics_below_it():
    sampler = TaxonomySampler(tree=["a", "a/b", "a/c"], balance="branches")
    assert {draw["path"] for draw in draws(sampler, 60)} == {"a", "a/b", "a/c"}


def test_lines_come_once_each_and_passages_from_anywhere_in_them():
    personas = [f"person {n}" for n in range(30)]
    assert sorted(draw["persona"] for draw in draws(LinesSampler(lines=personas, field="persona"), 30)) == sorted(personas)
    text = " ".join(str(n) for n in range(50))
    starts = {draw["line"].split()[0] for draw in draws(LinesSampler(lines=[text], words=5), 200)}
    assert "0" in starts or "45" in starts
    assert len(starts) > 30
    assert all(draw["line"] in text for draw in draws(LinesSampler(lines=[text], words=5), 200))


def test_a_product_puts_draws_together_without_walking_in_step():
    sampler = ProductSampler(
        first={"use": "grid", "a": list(range(6))},
        second={"use": "grid", "b": list(range(6))},
    )
    assert len({tuple(draw.values()) for draw in draws(sampler, 600)}) == 36


def test_the_least_covered_come_first():
    sampler = LeastCoveredSampler(topic=["often", "seldom", "never"])
    seen = AcceptedStats()
    for topic, count in (("often", 50), ("seldom", 5)):
        for _ in range(count):
            seen.add({"topic": topic}, "a text")
    counts = Counter(draw["topic"] for draw in draws(sampler, 1000, seen))
    assert counts["never"] > 900
    assert counts["often"] < counts["seldom"] < 60
    alike = Counter(
        draw["topic"] for draw in draws(LeastCoveredSampler(topic=["often", "seldom", "never"], strength=0), 900, seen)
    )
    assert min(alike.values()) > 240


def test_worn_out_openings_are_named_for_the_prompt_most_frequent_first():
    sampler = FreshOpeningsSampler(of={"use": "grid", "topic": ["rain", "snow"]}, share=0.1, most=2)
    seen = AcceptedStats()
    for count, text in (
        (30, "Once upon a time there"),
        (20, "In a small green house"),
        (15, "There was an old man"),
        (5, "Rain fell."),
    ):
        for _ in range(count):
            seen.add({}, text + " lived a fox.")
    [drawn] = draws(sampler, 1, seen)
    assert drawn["topic"] in {"rain", "snow"}
    assert drawn["avoid_openings"] == ["once upon a time there", "in a small green house"]
    one = AcceptedStats()
    one.add({}, "Once upon a time there was")
    assert draws(sampler, 1, one)[0]["avoid_openings"] == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GridSampler(), "draws nothing"),
        (lambda: GridSampler(topic=[]), "at least 1 item"),
        (lambda: GridSampler(topic=["a"], never=[{"tpoic": "a"}]), "there is no such field"),
        (lambda: GridSampler(topic=["a"], never=[{"topic": "b"}]), "is no value of `topic`"),
        (lambda: GridSampler(topic=["a"], never=[{"topic": "a"}]), "forbids every combination"),
        (lambda: UncoveredSampler(**{name: list(range(101)) for name in "abc"}), "more than can be looked after"),
        (lambda: WeightedSampler(tone={"plain": 0}), "must not all be 0"),
        (lambda: WeightedSampler(tone={"plain": -1, "funny": 3}), "greater than or equal to 0"),
        (lambda: WordsSampler(noun=["cat"], k=2), "the 1 words of `noun`"),
        (lambda: WordsSampler(noun=["cat"], k={"verb": 2}), "no such list"),
        (lambda: TaxonomySampler(tree=["a"], levels=["x", "y"]), "has 1 levels"),
        (lambda: TaxonomySampler(tree=["a"], depth=2), "Extra inputs"),
        (lambda: ProductSampler(words={"use": "wrods"}), "one of fresh-openings, grid"),
        (lambda: ProductSampler(words={"use": "words", "noun": ["cat"], "k": 3}), "`words`: Value error, cannot draw"),
        (lambda: ProductSampler(topic={"use": "least-covered", "topic": ["a"]}), "stand around this sampler"),
        (lambda: FreshOpeningsSampler(of={"topic": ["a"]}), "must have `use`"),
    ],
)
def test_what_cannot_be_drawn_is_said(make, said):
    with pytest.raises(ValidationError, match=said):
        make()


RULES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3),
    max_size=4,
)


@given(RULES)
def test_rules_leave_exactly_what_they_do_not_forbid(rules):
    fields = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3], "c": [0, 1, 2, 3]}
    allowed = [
        dict(zip("abc", values, strict=True))
        for values in itertools.product(range(4), repeat=3)
        if not any(all(dict(zip("abc", values, strict=True))[name] in rule[name] for name in rule) for rule in rules)
    ]
    if not allowed:
        with pytest.raises(ValueError, match="forbids every combination"):
            ConstrainedGrid(fields, rules)
        return
    cells = ConstrainedGrid(fields, rules)
    found = [tuple(cells[number][name] for name in "abc") for number in range(len(cells))]
    assert sorted(found) == [tuple(cell.values()) for cell in allowed]


def test_a_grid_with_rules_walks_what_is_left_once_in_every_tour():
    never = [{"audience": "child", "level": [4, 5]}, {"topic": "tax"}]
    grid = GridSampler(audience=["child", "adult"], level=[1, 2, 3, 4, 5], topic=["rain", "tax"], never=never)
    assert grid.cells == 8
    found = [tuple(draw.values()) for draw in draws(grid, 16)]
    assert len(set(found[:8])) == len(set(found[8:])) == 8
    assert not any(audience == "child" and level > 3 for audience, level, _ in found)
    assert {topic for *_, topic in found} == {"rain"}


def test_a_grid_of_a_billion_cells_with_rules_is_as_quick():
    many = list(range(1000))
    grid = GridSampler(a=many, b=many, c=many, never=[{"a": many[:500], "b": many[:500]}, {"b": 999, "c": [1, 2, 3]}])
    assert grid.cells == 10**9 - 500 * 500 * 1000 - 1000 * 3
    found = draws(grid, 1000)
    assert len({tuple(draw.values()) for draw in found}) == 1000
    assert not any(draw["a"] < 500 and draw["b"] < 500 for draw in found)


def test_a_product_keeps_values_of_different_samplers_apart():
    sampler = ProductSampler(
        who={"use": "lines", "lines": ["a child", "a lawyer"], "field": "persona"},
        what={"use": "words", "topics": ["tax", "rain", "snow"], "k": 2},
        never=[{"persona": "a child", "topics": "tax"}],
    )
    found = draws(sampler, 300)
    assert {draw["persona"] for draw in found} == {"a child", "a lawyer"}
    assert not any(draw["persona"] == "a child" and "tax" in draw["topics"] for draw in found)
    assert any("tax" in draw["topics"] for draw in found)
    nothing = ProductSampler(who={"use": "lines", "lines": ["a child"], "field": "persona"}, never=[{"persona": "a child"}])
    with pytest.raises(RunError, match="forbade 1000 draws"):
        draws(nothing, 1)


def seen_by(sampler, accepted: int, refused=lambda draw: False) -> AcceptedStats:
    """What a stage would have seen after so many documents, some of which were refused."""
    seen = AcceptedStats(grid=sampler.grid())
    for n in range(accepted):
        draw = sampler.draw(n, Random(n), seen)
        if refused(draw):
            seen.add_rejected(draw)
        else:
            seen.add(draw, "a text")
    return seen


def test_what_is_not_covered_is_drawn_first_and_the_hopeless_is_left_alone():
    sampler = UncoveredSampler(a=list(range(5)), b=list(range(4)))
    seen = seen_by(sampler, 12)
    assert len(seen.cells) == 12
    missing = {sampler.grid().cell(draw) for draw in draws(sampler, 8, seen)}
    assert len(missing) == 8
    assert not missing & seen.cells.keys()
    stubborn = seen_by(sampler, 400, lambda draw: draw["a"] == 0 and draw["b"] == 0)
    assert len(stubborn.cells) == 19
    assert stubborn.attempted["0", "0"] == 10
    assert max(stubborn.cells.values()) - min(stubborn.cells.values()) <= 1


def test_what_can_be_covered_is_counted():
    grid = {"use": "grid", "a": [1, 2, 3], "b": [1, 2], "always": "c"}
    assert GridSampler(a=[1, 2, 3], b=[1, 2], always="c").grid() == Grid(("a", "b"), 6)
    both = ProductSampler(one=grid, two={"use": "grid", "c": [1, 2]}, noise={"use": "lines", "lines": ["x", "y"]})
    assert both.grid() == Grid(("a", "b", "c"), 12)
    assert FreshOpeningsSampler(of=grid).grid() == Grid(("a", "b"), 6)
    assert LinesSampler(lines=["x"]).grid() is None


def test_passages_are_stretches_of_the_corpus_each_documents_once(tmp_path):
    words = [f"w{n}" for n in range(60)]
    texts = [f"doc{d} " * 3 + " ".join(words) for d in range(30)] + ["too short"]
    table = write_documents(tmp_path / "corpus", documents(texts[:20]), documents(texts[20:], kind="other"))
    sampler = Passages(**{"from": "web"}, words=10, field="seed_text")
    assert sampler.reads() == ("web",)
    assert len(draws(sampler, 1)[0]["seed_text"].split()) == 10  # before anything flows in
    sampler.prepare({"web": table}, tmp_path / "own")
    found = draws(sampler, 30)
    ids = dict(table.scan().select("id", "text").collect().iter_rows())
    assert len({draw["seed_text_id"] for draw in found}) == 30
    assert all(draw["seed_text"] in ids[draw["seed_text_id"]] for draw in found)
    assert len({draw["seed_text"].split()[0] for draw in found}) > 10
    again = Passages(**{"from": "web"}, words=10, field="seed_text")
    again.prepare({"web": table}, tmp_path / "own")
    assert draws(again, 30) == found
    fewer = Passages(**{"from": "web"}, words=10, most=5)
    fewer.prepare({"web": table}, tmp_path / "own")
    assert len({draw["passage_id"] for draw in draws(fewer, 30)}) == 5
    none = Passages(**{"from": "web"}, least_words=500)
    with pytest.raises(RunError, match="no document of 'web' has 500 words"):
        none.prepare({"web": table}, tmp_path / "own")
