"""`decontamination/filter`: what each rule finds, with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_decontamination.stages.filter import DecontaminationFilter

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs

ROTATE = BenchmarkItem(
    "toy/0",
    'def rotate_left(values: list[int], places: int) -> list[int]:\n    """Turns the list so that the element at the given '
    'place comes first, wrapping others around to the end of it."""\n',
    "    if not values:\n        return []\n    cut = places % len(values)\n    head, tail = values[:cut], values[cut:]\n"
    "    return [*tail, *head]\n",
)
TINY = BenchmarkItem("toy/2", 'def whole(x: float) -> float:\n    """The part after the point."""\n', "    return x % 1.0\n")
SHORT = BenchmarkItem("toy/1", "What is the capital of Bhutan?", "Thimphu")


class Toy:
    name = "toy"
    stop = ("\ndef",)

    def items(self) -> Iterator[BenchmarkItem]:
        yield from (ROTATE, SHORT, TINY)


class Empty(Toy):
    def items(self) -> Iterator[BenchmarkItem]:
        return iter(())


class Resolver:
    def benchmark(self, name: str) -> Toy:
        return {"toy": Toy, "empty": Empty}[name]()


def verdicts_on(*texts: str, **options: object) -> pl.DataFrame:
    stage = DecontaminationFilter(benchmarks=("toy",), **options)
    stage.prepare(StageInputs({}, Path("nowhere"), Resolver()))  # type: ignore[arg-type]
    return stage.decide(
        pl.DataFrame({"id": [f"d{n}" for n in range(len(texts))], "text": texts}, schema={"id": pl.String, "text": pl.String})
    )


CLEAN = (
    "A page about lists, and how to turn them so that another element comes first, which is called rotation by most authors."
)
RENAMED = """
def spin(items, n):
    if not items:
        return []
    k = n % len(items)
    a, b = items[:k], items[k:]
    return [*b, *a]
"""


@pytest.mark.parametrize("rule", ["ngram", "hybrid", "cosmopedia", "fuzzy"])
def test_a_benchmark_item_in_a_page_is_found_with_its_evidence(rule: str) -> None:
    page = f"Exercise for today.\n\n{ROTATE.prompt}{ROTATE.solution}\nGood luck!"
    verdicts = verdicts_on(CLEAN, page.upper(), rule=rule)
    assert verdicts["keep"].to_list() == [True, False]
    assert verdicts["decontamination.item"].to_list() == [None, "toy toy/0"]
    assert "def rotate_left values list int places int list" in verdicts["detail"][1]


def test_the_reason_can_be_counted_and_the_evidence_is_the_ngram() -> None:
    verdict = verdicts_on(ROTATE.prompt).row(0, named=True)
    assert verdict["reason"] == "13-gram of toy"
    assert verdict["detail"] == "toy/0: def rotate_left values list int places int list int turns the list so"
    assert verdicts_on(ROTATE.prompt, n=8)["reason"].to_list() == ["8-gram of toy"]


def test_an_item_of_fewer_words_is_searched_as_a_whole() -> None:
    verdicts = verdicts_on("What is the capital of Bhutan? Thimphu!", "What is the capital of Bhutan? I forgot.")
    assert verdicts["keep"].to_list() == [False, True]
    assert verdicts["reason"][0] == "short text of toy"
    assert verdicts["detail"][0] == "toy/1: what is the capital of bhutan thimphu"


def test_a_solution_of_eight_words_or_more_is_searched_by_itself() -> None:
    solution = "    return max((len(word), word) for word in text.split())[1]\n"
    verdict = DecontaminationFilter(benchmarks=("toy",), rule="ngram")
    toy = [BenchmarkItem("toy/2", "def longest(text):\n", solution)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Toy, "items", lambda self: iter(toy))
        verdict.prepare(StageInputs({}, Path("nowhere"), Resolver()))  # type: ignore[arg-type]
    assert verdict.decide(pl.DataFrame({"id": ["a", "b"], "text": [solution, CLEAN]}))["keep"].to_list() == [False, True]


def test_allowed_ngrams_do_not_count() -> None:
    assert verdicts_on(ROTATE.prompt, allowed=(ROTATE.prompt,))["keep"].to_list() == [True]


def test_a_share_between_the_thresholds_is_reported_and_kept() -> None:
    part = " ".join(ROTATE.prompt.split()[12:20])
    verdict = verdicts_on(f"{CLEAN} {part} {CLEAN[::-1]}", rule="hybrid", info_ratio=0.01).row(0, named=True)
    assert verdict["keep"] and verdict["reason"] is None
    assert 0.01 < verdict["score"] < 0.5 and "7-grams" in verdict["detail"]
    assert verdicts_on(f"{CLEAN} {part} {CLEAN[::-1]}", rule="hybrid", info_ratio=0.01, ratio=0.02)["keep"].to_list() == [False]


def test_a_renamed_solution_is_seen_by_its_syntax_tree_only() -> None:
    assert verdicts_on(RENAMED)["keep"].to_list() == [True]
    verdicts = verdicts_on(
        RENAMED, f"Look:\n\n```python\n{RENAMED}```\n", "def other(a):\n    return a\n", "not python (", rule="ast"
    )
    assert verdicts["keep"].to_list() == [False, False, True, True]
    assert verdicts["score"][0] == pytest.approx(1.0)


def test_clean_and_empty_corpora_are_kept() -> None:
    for rule in ("ngram", "hybrid", "cosmopedia", "ast"):
        assert verdicts_on(CLEAN, "", rule=rule)["keep"].to_list() == [True, True]
        assert verdicts_on(rule=rule).is_empty()


def test_a_benchmark_without_items_is_an_error() -> None:
    with pytest.raises(RunError, match="no items"):
        DecontaminationFilter(benchmarks=("empty",)).prepare(StageInputs({}, Path("nowhere"), Resolver()))  # type: ignore[arg-type]


def test_more_hits_than_the_first_buffer_holds_are_all_counted() -> None:
    assert verdicts_on((ROTATE.prompt + ROTATE.solution) * 400)["score"][0] > 4096


def test_a_short_solution_counts_only_if_the_document_is_nothing_else() -> None:
    alone = "from math import pi\n\ndef rest(number):\n    return number % 1.0\n"
    verdicts = verdicts_on(
        alone,
        "    return y % 1.0\n",
        alone + "\nprint(rest(pi))\n",
        alone.replace("1.0", "2.0"),
        "def f(x):\n    return x + 1.0\n",
        rule="ast",
    )
    assert verdicts["keep"].to_list() == [False, False, True, True, True]
    assert verdicts["detail"][0] == "toy/2: the document is this solution"


def test_a_fuzzy_match_tolerates_edits_and_needs_more_than_an_ngram() -> None:
    words = (ROTATE.prompt + ROTATE.solution).replace("the given", "a given").replace("cut", "where")
    shared = (
        "Whoever turns the list so that the element at the given hour is blue has understood nothing of clocks or of pears."
    )
    verdicts = verdicts_on(words, shared, rule="fuzzy")
    assert verdicts["keep"].to_list() == [False, True]
    assert 0.8 <= verdicts["score"][0] < 1
    assert not verdicts_on(shared, rule="ngram", n=8)["keep"].any()
    assert verdicts_on(words, rule="fuzzy", fuzzy_ratio=1.0)["keep"].all()


def test_documents_with_a_near_embedding_are_dropped() -> None:
    pytest.importorskip("sklearn")
    verdicts = verdicts_on(ROTATE.solution.replace("cut", "cuts"), CLEAN, "", rule="embedding")
    assert verdicts["keep"].to_list() == [False, True, True]
    assert verdicts["detail"][0].endswith("by tfidf") and verdicts["decontamination.item"][0] == "toy toy/0"


def test_an_embedder_that_is_not_installed_is_reported() -> None:
    if find_spec("sentence_transformers"):
        pytest.skip("it is installed here")
    stage = DecontaminationFilter(inputs=("web",), benchmarks=("toy",), rule="embedding", embedder="all-MiniLM-L6-v2")
    assert [diagnostic.place for diagnostic in stage.check()] == ["embedder"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([ROTATE.solution, RENAMED, CLEAN, "", "a b c", ROTATE.prompt + ROTATE.solution]), max_size=8))
@pytest.mark.parametrize("rule", ["ngram", "hybrid", "cosmopedia", "ast", "fuzzy"])
def test_kept_and_dropped_are_everything_in_order(rule: str, texts: list[str]) -> None:
    verdicts = verdicts_on(*texts, rule=rule)
    assert verdicts["id"].to_list() == [f"d{n}" for n in range(len(texts))]
    assert verdicts["keep"].null_count() == 0
    assert verdicts.filter("keep")["reason"].null_count() == verdicts["keep"].sum()
    assert (verdicts.filter(~pl.col("keep"))["reason"].fill_null("") != "").all()
