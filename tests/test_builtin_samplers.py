"""Samplers are pure functions of their arguments, and cover what they claim to cover."""

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
from textbookgen.builtin.samplers import samplers
from textbookgen.builtin.samplers.constrained_grid import ConstrainedGrid
from textbookgen.builtin.samplers.fields import walk
from textbookgen.builtin.samplers.fresh_openings import FreshOpeningsSampler
from textbookgen.builtin.samplers.grid import GridSampler
from textbookgen.builtin.samplers.least_covered import LeastCoveredSampler
from textbookgen.builtin.samplers.lines import LinesSampler
from textbookgen.builtin.samplers.passages import PassagesSampler
from textbookgen.builtin.samplers.product import ProductSampler
from textbookgen.builtin.samplers.taxonomy import TaxonomySampler
from textbookgen.builtin.samplers.uncovered import UncoveredSampler
from textbookgen.builtin.samplers.weighted import WeightedSampler
from textbookgen.builtin.samplers.words import WordsSampler
from textbookgen.testing import documents, write_documents

CONTEXT = {"samplers": {kind.name: kind for kind in samplers()}}


def product(**tables) -> ProductSampler:
    return ProductSampler.model_validate(tables, context=CONTEXT)


def fresh_openings(**options) -> FreshOpeningsSampler:
    return FreshOpeningsSampler.model_validate(options, context=CONTEXT)


ONE_OF_EACH = [
    GridSampler(topic=["rain", "snow"], level=[1, 2, 3]),
    WeightedSampler(tone={"plain": 3, "funny": 1}, place=["sea", "wood"]),
    WordsSampler(noun=["cat", "dog"], features=["twist", "moral", "dialogue"], k={"features": [0, 2]}),
    TaxonomySampler(tree=["a/b/c", "a/b/d", "e/f"], levels=["top"]),
    LinesSampler(lines=["one two three", "four"], words=2),
    product(words={"use": "words", "noun": ["cat", "dog"]}, tone={"use": "weighted", "tone": {"plain": 3, "funny": 1}}),
    LeastCoveredSampler(topic=["rain", "snow"]),
    UncoveredSampler(topic=["rain", "snow"], level=[1, 2, 3], never=[{"topic": "snow", "level": [2, 3]}]),
    fresh_openings(of={"use": "grid", "topic": ["rain", "snow"]}),
]


def draws(sampler, count: int, stats: AcceptedStats | None = None) -> list[dict]:
    return [sampler.draw(n, Random(f"seed/{n}"), stats or AcceptedStats()) for n in range(count)]


def test_every_builtin_sampler_is_tested_here():
    assert {type(sampler) for sampler in ONE_OF_EACH} | {PassagesSampler} == set(samplers())


@pytest.mark.parametrize("sampler", ONE_OF_EACH, ids=lambda sampler: sampler.name)
def test_draws_are_pure_functions_of_their_arguments(sampler):
    expected = draws(sampler, 40)
    again = type(sampler).model_validate(sampler.model_dump(), context=CONTEXT)
    assert again == sampler
    assert draws(pickle.loads(pickle.dumps(again)), 40) == expected
    assert [sampler.draw(n, Random(f"seed/{n}"), AcceptedStats()) for n in reversed(range(40))] == expected[::-1]
    assert len({str(draw) for draw in expected}) > 1


@pytest.mark.parametrize("sampler", ONE_OF_EACH, ids=lambda sampler: sampler.name)
def test_every_option_has_a_description(sampler):
    assert all(field.description for field in type(sampler).model_fields.values())


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 10), st.integers(0, 3))
def test_a_grid_draws_every_combination_once_per_lap(sizes, seed, lap):
    grid = GridSampler(seed=seed, **{f"field{k}": [f"{k}.{v}" for v in range(size)] for k, size in enumerate(sizes)})
    cells = [tuple(grid.draw(n, Random(0), AcceptedStats()).values()) for n in range(lap * grid.cells, (lap + 1) * grid.cells)]
    assert len(set(cells)) == len(cells) == grid.cells


def test_a_grid_is_shuffled_and_each_lap_and_seed_has_another_order():
    grid = GridSampler(a=list(range(20)), b=list(range(20)))
    first = [tuple(draw.values()) for draw in draws(grid, 800)]
    assert first[:400] != first[400:]
    assert first[:400] != [
        tuple(draw.values()) for draw in draws(GridSampler(a=list(range(20)), b=list(range(20)), seed=1), 400)
    ]
    assert len({a for a, _ in first[:40]}) > 12  # 40 draws of 20 values see 17 of them on average
    neighbours = sum(abs(one[0] - two[0]) <= 1 for one, two in itertools.pairwise(first))
    assert neighbours < 200  # about 117 if draws are independent


def test_a_grid_of_a_billion_cells_is_not_enumerated():
    grid = GridSampler(**{name: list(range(1000)) for name in "abc"})
    assert grid.cells == 10**9
    assert len({tuple(draw.values()) for draw in draws(grid, 2000)}) == 2000


def test_a_single_value_is_always_drawn():
    assert {draw["language"] for draw in draws(GridSampler(language="Python", topic=["a", "b"]), 4)} == {"Python"}


def test_values_are_drawn_by_weight():
    counts = Counter(draw["tone"] for draw in draws(WeightedSampler(tone={"plain": 3, "funny": 1, "never": 0}), 2000))
    assert 1400 < counts["plain"] < 1600
    assert counts["never"] == 0


def test_words_are_distinct_and_as_many_as_requested():
    sampler = WordsSampler(noun=["cat", "dog"], features=["a", "b", "c", "d"], k={"features": [0, 3]})
    values = draws(sampler, 500)
    assert {draw["noun"] for draw in values} == {"cat", "dog"}
    assert {len(draw["features"]) for draw in values} == {0, 1, 2, 3}
    assert all(len(set(draw["features"])) == len(draw["features"]) for draw in values)
    assert all(len(draw["noun"]) == 2 for draw in draws(WordsSampler(noun=["cat", "dog", "cow"], k=2), 20))


def test_a_taxonomy_balances_leaves_or_branches():
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


def test_a_topic_may_have_subtopics():
    sampler = TaxonomySampler(tree=["a", "a/b", "a/c"], balance="branches")
    assert {draw["path"] for draw in draws(sampler, 60)} == {"a", "a/b", "a/c"}


def test_each_line_is_drawn_once_and_excerpts_start_anywhere():
    personas = [f"person {n}" for n in range(30)]
    assert sorted(draw["persona"] for draw in draws(LinesSampler(lines=personas, field="persona"), 30)) == sorted(personas)
    text = " ".join(str(n) for n in range(50))
    starts = {draw["line"].split()[0] for draw in draws(LinesSampler(lines=[text], words=5), 200)}
    assert "0" in starts or "45" in starts
    assert len(starts) > 30
    assert all(draw["line"] in text for draw in draws(LinesSampler(lines=[text], words=5), 200))


def test_the_parts_of_a_product_are_drawn_independently():
    sampler = product(
        first={"use": "grid", "a": list(range(6))},
        second={"use": "grid", "b": list(range(6))},
    )
    assert len({tuple(draw.values()) for draw in draws(sampler, 600)}) == 36


def test_rarely_accepted_values_are_drawn_more_often():
    sampler = LeastCoveredSampler(topic=["common", "rare", "missing"])
    stats = AcceptedStats()
    for topic, count in (("common", 50), ("rare", 5)):
        for _ in range(count):
            stats.add({"topic": topic}, "a text")
    counts = Counter(draw["topic"] for draw in draws(sampler, 1000, stats))
    assert counts["missing"] > 900
    assert counts["common"] < counts["rare"] < 60
    alike = Counter(
        draw["topic"] for draw in draws(LeastCoveredSampler(topic=["common", "rare", "missing"], strength=0), 900, stats)
    )
    assert min(alike.values()) > 240


def test_overused_openings_are_listed_most_frequent_first():
    sampler = fresh_openings(of={"use": "grid", "topic": ["rain", "snow"]}, share=0.1, max_openings=2)
    stats = AcceptedStats()
    for count, text in (
        (30, "Once upon a time there"),
        (20, "In a small green house"),
        (15, "There was an old man"),
        (5, "Rain fell."),
    ):
        for _ in range(count):
            stats.add({}, text + " lived a fox.")
    [values] = draws(sampler, 1, stats)
    assert values["topic"] in {"rain", "snow"}
    assert values["avoid_openings"] == ["once upon a time there", "in a small green house"]
    one = AcceptedStats()
    one.add({}, "Once upon a time there was")
    assert draws(sampler, 1, one)[0]["avoid_openings"] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GridSampler(), "has no variables"),
        (lambda: GridSampler(topic=[]), "at least 1 item"),
        (lambda: GridSampler(topic=["a"], never=[{"tpoic": "a"}]), "unknown field 'tpoic'"),
        (lambda: GridSampler(topic=["a"], never=[{"topic": "b"}]), "is not a value of `topic`"),
        (lambda: GridSampler(topic=["a"], never=[{"topic": "a"}]), "excludes every combination"),
        (lambda: UncoveredSampler(**{name: list(range(101)) for name in "abc"}), "too many to track"),
        (lambda: WeightedSampler(tone={"plain": 0}), "must be above 0"),
        (lambda: WeightedSampler(tone={"plain": -1, "funny": 3}), "greater than or equal to 0"),
        (lambda: WordsSampler(noun=["cat"], k=2), "the 1 words of `noun`"),
        (lambda: WordsSampler(noun=["cat"], k={"verb": 2}), "no such list"),
        (lambda: TaxonomySampler(tree=["a"], levels=["x", "y"]), "has 1 levels"),
        (lambda: TaxonomySampler(tree=["a"], depth=2), "Extra inputs"),
        (lambda: product(words={"use": "wrods"}), "one of fresh-openings, grid"),
        (lambda: product(words={"use": "words", "noun": ["cat"], "k": 3}), "`words`: Value error, cannot draw"),
        (lambda: product(topic={"use": "least-covered", "topic": ["a"]}), "use it around `product`"),
        (lambda: fresh_openings(of={"topic": ["a"]}), "must have `use`"),
    ],
)
def test_invalid_options_are_rejected(make, message):
    with pytest.raises(ValidationError, match=message):
        make()


RULES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3),
    max_size=4,
)


@given(RULES)
def test_rules_exclude_exactly_what_they_match(rules):
    fields = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3], "c": [0, 1, 2, 3]}
    allowed = [
        dict(zip("abc", values, strict=True))
        for values in itertools.product(range(4), repeat=3)
        if not any(all(dict(zip("abc", values, strict=True))[name] in rule[name] for name in rule) for rule in rules)
    ]
    if not allowed:
        with pytest.raises(ValueError, match="excludes every combination"):
            ConstrainedGrid(fields, rules)
        return
    cells = ConstrainedGrid(fields, rules)
    values = [tuple(cells[number][name] for name in "abc") for number in range(len(cells))]
    assert sorted(values) == [tuple(cell.values()) for cell in allowed]


def test_a_grid_with_rules_draws_each_allowed_combination_once_per_lap():
    never = [{"audience": "child", "level": [4, 5]}, {"topic": "tax"}]
    grid = GridSampler(audience=["child", "adult"], level=[1, 2, 3, 4, 5], topic=["rain", "tax"], never=never)
    assert grid.cells == 8
    values = [tuple(draw.values()) for draw in draws(grid, 16)]
    assert len(set(values[:8])) == len(set(values[8:])) == 8
    assert not any(audience == "child" and level > 3 for audience, level, _ in values)
    assert {topic for *_, topic in values} == {"rain"}


def test_a_grid_of_a_billion_cells_with_rules_is_not_enumerated():
    many = list(range(1000))
    grid = GridSampler(a=many, b=many, c=many, never=[{"a": many[:500], "b": many[:500]}, {"b": 999, "c": [1, 2, 3]}])
    assert grid.cells == 10**9 - 500 * 500 * 1000 - 1000 * 3
    values = draws(grid, 1000)
    assert len({tuple(draw.values()) for draw in values}) == 1000
    assert not any(draw["a"] < 500 and draw["b"] < 500 for draw in values)


def test_rules_of_a_product_exclude_combinations_across_samplers():
    sampler = product(
        who={"use": "lines", "lines": ["a child", "a lawyer"], "field": "persona"},
        what={"use": "words", "topics": ["tax", "rain", "snow"], "k": 2},
        never=[{"persona": "a child", "topics": "tax"}],
    )
    values = draws(sampler, 300)
    assert {draw["persona"] for draw in values} == {"a child", "a lawyer"}
    assert not any(draw["persona"] == "a child" and "tax" in draw["topics"] for draw in values)
    assert any("tax" in draw["topics"] for draw in values)
    nothing = product(who={"use": "lines", "lines": ["a child"], "field": "persona"}, never=[{"persona": "a child"}])
    with pytest.raises(RunError, match="excluded 1000 draws"):
        draws(nothing, 1)


def simulate(sampler, count: int, rejected=lambda draw: False) -> AcceptedStats:
    """The statistics after `count` documents, some of which were rejected."""
    stats = AcceptedStats(grid=sampler.grid())
    for n in range(count):
        draw = sampler.draw(n, Random(n), stats)
        if rejected(draw):
            stats.add_rejected(draw)
        else:
            stats.add(draw, "a text")
    return stats


def test_uncovered_combinations_are_drawn_first_and_hopeless_ones_given_up():
    sampler = UncoveredSampler(a=list(range(5)), b=list(range(4)))
    stats = simulate(sampler, 12)
    assert len(stats.cells) == 12
    missing = {sampler.grid().cell(draw) for draw in draws(sampler, 8, stats)}
    assert len(missing) == 8
    assert not missing & stats.cells.keys()
    stubborn = simulate(sampler, 400, lambda draw: draw["a"] == 0 and draw["b"] == 0)
    assert len(stubborn.cells) == 19
    assert stubborn.attempted["0", "0"] == 10
    assert max(stubborn.cells.values()) - min(stubborn.cells.values()) <= 1


def test_grids_count_the_combinations():
    grid = {"use": "grid", "a": [1, 2, 3], "b": [1, 2], "always": "c"}
    assert GridSampler(a=[1, 2, 3], b=[1, 2], always="c").grid() == Grid(("a", "b"), 6)
    both = product(one=grid, two={"use": "grid", "c": [1, 2]}, noise={"use": "lines", "lines": ["x", "y"]})
    assert both.grid() == Grid(("a", "b", "c"), 12)
    assert fresh_openings(of=grid).grid() == Grid(("a", "b"), 6)
    assert LinesSampler(lines=["x"]).grid() is None


def test_each_document_yields_one_passage(tmp_path):
    words = [f"w{n}" for n in range(60)]
    texts = [f"doc{d} " * 3 + " ".join(words) for d in range(30)] + ["too short"]
    table = write_documents(tmp_path / "corpus", documents(texts[:20]), documents(texts[20:], kind="other"))
    sampler = PassagesSampler(**{"from": "web"}, words=10, field="seed_text")
    assert sampler.reads() == ("web",)
    assert len(draws(sampler, 1)[0]["seed_text"].split()) == 10  # a placeholder until it is prepared
    sampler.prepare({"web": table}, tmp_path / "own")
    values = draws(sampler, 30)
    ids = dict(table.scan().select("id", "text").collect().iter_rows())
    assert len({draw["seed_text_id"] for draw in values}) == 30
    assert all(draw["seed_text"] in ids[draw["seed_text_id"]] for draw in values)
    assert len({draw["seed_text"].split()[0] for draw in values}) > 10
    again = PassagesSampler(**{"from": "web"}, words=10, field="seed_text")
    again.prepare({"web": table}, tmp_path / "own")
    assert draws(again, 30) == values
    fewer = PassagesSampler(**{"from": "web"}, words=10, max_passages=5)
    fewer.prepare({"web": table}, tmp_path / "own")
    assert len({draw["passage_id"] for draw in draws(fewer, 30)}) == 5
    none = PassagesSampler(**{"from": "web"}, min_words=500)
    with pytest.raises(RunError, match="no document of 'web' has 500 words"):
        none.prepare({"web": table}, tmp_path / "own")


def test_nested_samplers_need_the_known_samplers_in_the_validation_context():
    tables = {"topic": {"use": "grid", "topic": ["rain", "snow"]}}
    with pytest.raises(ValidationError, match=r"needs the known samplers: use model_validate"):
        ProductSampler(**tables)
    with pytest.raises(ValidationError, match="must have `use`, one of lines"):
        ProductSampler.model_validate(tables, context={"samplers": {"lines": LinesSampler}})


def test_samplers_are_nested_to_any_depth():
    inner = {"use": "product", "topic": {"use": "grid", "topic": ["rain", "snow"]}, "who": {"use": "lines", "lines": ["x"]}}
    [values] = draws(fresh_openings(of={"use": "product", "inner": inner}), 1)
    assert values.keys() == {"topic", "line", "avoid_openings"}


def test_a_part_of_a_product_reads_and_prepares_through_it(tmp_path):
    table = write_documents(tmp_path, documents(["one two three four five"]))
    outer = fresh_openings(of={"use": "product", "noise": {"use": "passages", "from": "web", "words": 3, "min_words": 2}})
    assert outer.reads() == ("web",)
    outer.prepare({"web": table}, tmp_path / "own")
    [values] = draws(outer, 1)
    assert values["passage"] in "one two three four five"
    assert values["passage_id"] == table.scan().collect()["id"][0]


def test_a_list_that_is_drawn_counts_by_element_and_openings_ignore_case_and_punctuation():
    stats = AcceptedStats(grid=Grid(("a",), 2), opening_words=3)
    stats.add({"a": 1, "features": ["twist", "moral"]}, "One day, the FOX ran.")
    stats.add({"a": 1, "features": ["twist"]}, "one day -- the fox slept")
    stats.add_rejected({"a": 2})
    assert stats.documents == 2
    assert stats.draws["features"] == {"twist": 2, "moral": 1}
    assert stats.openings == {"one day the": 2}
    assert (dict(stats.cells), dict(stats.attempted)) == ({("1",): 2}, {("1",): 2, ("2",): 1})


def test_cached_values_are_computed_once_until_a_document_is_added():
    stats, calls = AcceptedStats(), []
    for _ in range(2):
        assert stats.cached("key", lambda: calls.append(1) or len(calls)) == 1
    stats.add_rejected({})
    assert stats.cached("key", lambda: calls.append(1) or len(calls)) == 2


@given(st.integers(1, 200), st.integers(0, 3), st.text(max_size=5))
def test_a_walk_visits_every_index_once_per_lap(size, lap, key):
    assert sorted(walk(n, size, key) for n in range(lap * size, (lap + 1) * size)) == list(range(size))
