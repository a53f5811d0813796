"""Benchmark items planted in a corpus in every way: which rule finds which, in documents, chats and pairs."""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_decontamination.stages.filter import DecontaminationFilter

from textbookgen import BenchmarkItem, RunError, StageInputs

MERGE = BenchmarkItem(
    "code/0",
    'def merge_intervals(intervals):\n    """Merge all intervals that overlap and return them in ascending order of where '
    'they start, as a list of pairs."""\n',
    "    merged = []\n    for low, high in sorted(intervals):\n        if merged and low <= merged[-1][1]:\n"
    "            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))\n        else:\n            merged.append((low, high))\n"
    "    return merged\n",
)
CHINESE = BenchmarkItem("code/1", "请编写一个函数,返回列表中所有偶数的平方和,并按升序排列结果。", "")
FRENCH = BenchmarkItem(
    "code/2", "Où se trouvait la bibliothèque où l'élève aîné étudiait après l'été dernier à Orléans ?", "Là-bas"
)
ITEMS = [MERGE, CHINESE, FRENCH]
QUESTIONS = [BenchmarkItem(f"many/{n}", " ".join(f"q{n}word{at}" for at in range(10)), "") for n in range(2_000)]
OTHER_ITEM = BenchmarkItem("qa/0", "Which river did the merchants cross on the third day of their journey to the coast?", "")

RENAMED = """
def combine(spans):
    result = []
    for a, b in sorted(spans):
        if result and a <= result[-1][1]:
            result[-1] = (result[-1][0], max(b, result[-1][1]))
        else:
            result.append((a, b))
    return result
"""
NOISE = " ".join(random.Random(0).choices([f"word{n}" for n in range(500)], k=300))
PLANTED = {
    "verbatim": MERGE.prompt + MERGE.solution,
    "embedded": f"{NOISE}\n\n{MERGE.prompt}{MERGE.solution}\n\n{NOISE}",
    "upper case": (MERGE.prompt + MERGE.solution).upper(),
    "prompt only": MERGE.prompt,
    "solution only": MERGE.solution,
    "reformatted": ast.unparse(ast.parse(MERGE.prompt + MERGE.solution)),
    "renamed": RENAMED,
    "two words changed": (MERGE.prompt + MERGE.solution).replace("ascending", "rising").replace("overlap", "touch"),
    "unrelated": NOISE,
    "unrelated code": "def area(width, height):\n    sides = [width, height]\n    return sides[0] * sides[1] / 2\n",
}
ANY_COPY = {"verbatim", "embedded", "upper case", "prompt only", "solution only", "reformatted", "two words changed"}
EXPECTED = {
    "ngram": ANY_COPY,
    "hybrid": ANY_COPY,
    "fuzzy": ANY_COPY,
    "cosmopedia": ANY_COPY - {"prompt only"},
    "ast": {"verbatim", "embedded", "solution only", "reformatted", "renamed", "two words changed"},
    "embedding": ANY_COPY - {"embedded"},
}


class Benchmark:
    stop = ()

    def __init__(self, name: str, items: Sequence[BenchmarkItem]) -> None:
        self.name, self._items = name, items

    def items(self) -> Sequence[BenchmarkItem]:
        return self._items


class Resolver:
    def benchmark(self, name: str) -> Benchmark:
        return Benchmark(name, {"code": ITEMS, "qa": [OTHER_ITEM], "many": QUESTIONS}[name])


def verdicts_on(rows: pl.DataFrame | Sequence[str], *benchmarks: str, **options: object) -> pl.DataFrame:
    stage = DecontaminationFilter(benchmarks=benchmarks or ("code",), **options)
    stage.prepare(StageInputs({}, Path("nowhere"), Resolver()))  # type: ignore[arg-type]
    if not isinstance(rows, pl.DataFrame):
        rows = pl.DataFrame({"id": [f"d{at}" for at in range(len(rows))], "text": rows})
    return stage.decide(rows)


@pytest.mark.parametrize("rule", EXPECTED)
def test_each_rule_finds_what_its_definition_covers(rule: str) -> None:
    if rule == "embedding":
        pytest.importorskip("sklearn")
    verdicts = verdicts_on(list(PLANTED.values()), rule=rule)
    found = {kind for kind, keep in zip(PLANTED, verdicts["keep"], strict=True) if not keep}
    assert found == EXPECTED[rule]
    assert set(verdicts.filter(~pl.col("keep"))["decontamination.item"]) == {"code code/0"}


def test_several_rules_find_the_union_and_the_first_is_the_reason() -> None:
    verdicts = verdicts_on(list(PLANTED.values()), rule=["ngram", "ast"])
    found = {kind for kind, keep in zip(PLANTED, verdicts["keep"], strict=True) if not keep}
    assert found == EXPECTED["ngram"] | EXPECTED["ast"]
    reasons = dict(zip(PLANTED, verdicts["reason"], strict=True))
    assert (reasons["verbatim"], reasons["renamed"]) == ("13-gram of code", "syntax tree of code")


def test_an_informative_finding_does_not_hide_a_later_rule() -> None:
    """`hybrid` reports a small share of 7-grams and keeps; `ast` must still drop the document."""
    text = f"```python\n{RENAMED}```\n\nMerge all intervals that overlap and return them gladly. {NOISE}"
    assert verdicts_on([text], rule="hybrid", info_ratio=0.01)["score"][0] > 0.01
    verdict = verdicts_on([text], rule=["hybrid", "ast"], info_ratio=0.01).row(0, named=True)
    assert (verdict["keep"], verdict["reason"]) == (False, "syntax tree of code")


def test_items_in_scripts_without_spaces_are_found_character_by_character() -> None:
    verdicts = verdicts_on([f"题目:{CHINESE.prompt}答案如下。", "请编写一个函数,返回字符串的长度。"])
    assert verdicts["keep"].to_list() == [False, True]
    assert verdicts["decontamination.item"][0] == "code code/1"


@pytest.mark.parametrize(("rule", "keep"), [("ngram", True), ("cosmopedia", False)])
def test_only_the_rule_that_ignores_accents_finds_text_without_them(rule: str, keep: bool) -> None:
    plain = "Ou se trouvait la bibliotheque ou l'eleve aine etudiait apres l'ete dernier a Orleans ? La-bas"
    assert verdicts_on([plain], rule=rule)["keep"].to_list() == [keep]
    assert not verdicts_on([FRENCH.prompt + FRENCH.solution], rule=rule)["keep"][0]


@pytest.mark.parametrize("rule", ["ngram", "hybrid", "cosmopedia", "fuzzy"])
def test_allowed_text_does_not_count_for_any_ngram_rule(rule: str) -> None:
    whole = MERGE.prompt + MERGE.solution
    assert not verdicts_on([whole], rule=rule)["keep"][0]
    assert verdicts_on([whole], rule=rule, allowed=(whole,))["keep"][0]
    assert not verdicts_on([OTHER_ITEM.prompt], "code", "qa", rule=rule, allowed=(whole,))["keep"][0]


def test_options_that_no_rule_uses_are_reported() -> None:
    def places(**options: object) -> list[str]:
        stage = DecontaminationFilter(inputs=("web",), benchmarks=("code",), **options)
        return [diagnostic.place for diagnostic in stage.check()]

    assert places(rule="ast", n=8) == ["n"]
    assert places(rule="ast", allowed=("a",)) == ["allowed"]
    assert places(rule=["ast", "hybrid"], allowed=("a",)) == []
    assert places(rule=["ast", "ngram"], n=8) == []


def test_items_of_several_benchmarks_keep_their_names() -> None:
    verdicts = verdicts_on([PLANTED["verbatim"], OTHER_ITEM.prompt], "qa", "code")
    assert verdicts["decontamination.item"].to_list() == ["code code/0", "qa qa/0"]
    assert verdicts["reason"].to_list() == ["13-gram of code", "13-gram of qa"]


def test_items_are_found_in_any_message_of_chats_and_pairs() -> None:
    def message(text: str, role: str = "user") -> dict[str, str]:
        return {"role": role, "content": text}

    chats = pl.DataFrame(
        {"id": ["a", "b"], "messages": [[message("Hi."), message(MERGE.solution, "assistant")], [message(NOISE)]]}
    )
    assert verdicts_on(chats)["keep"].to_list() == [False, True]
    ask, clean, copied = [message("Explain.")], [message(NOISE, "assistant")], [message(MERGE.solution, "assistant")]
    pairs = pl.DataFrame({"id": ["a", "b", "c"], "prompt": [ask] * 3, "chosen": [clean, copied, clean]})
    pairs = pairs.with_columns(rejected=pl.Series([clean, clean, copied]))
    assert verdicts_on(pairs)["keep"].to_list() == [True, False, False]


def test_an_ngram_does_not_span_two_documents() -> None:
    words = MERGE.prompt.split()
    halves = [" ".join(words[:10]), " ".join(words[10:20])]
    assert verdicts_on(halves)["keep"].to_list() == [True, True]
    assert verdicts_on([" ".join(halves)])["keep"].to_list() == [False]


def test_the_evidence_is_the_shared_words_at_their_place() -> None:
    """A long document before it and other words around it must not shift the evidence."""
    planted = " ".join(OTHER_ITEM.prompt.split()[2:])
    verdict = verdicts_on([NOISE * 3, f"{NOISE} {planted} {NOISE}"], "qa").row(1, named=True)
    assert verdict["detail"] == "qa/0: did the merchants cross on the third day of their journey to the"


def test_every_item_of_a_large_benchmark_is_found_as_itself() -> None:
    """Each item is one n-gram, so that one lost in the hash table is lost for good."""
    verdicts = verdicts_on([f"{NOISE} {item.prompt} {NOISE}" for item in QUESTIONS[::5]], "many")
    assert verdicts["decontamination.item"].to_list() == [f"many {item.id}" for item in QUESTIONS[::5]]


def test_a_short_piece_of_an_item_is_not_a_fuzzy_match() -> None:
    piece = " ".join(MERGE.prompt.split()[3:13])
    assert not verdicts_on([piece], rule="ngram", n=8)["keep"][0]
    assert verdicts_on([piece], rule="fuzzy")["keep"][0]


def test_a_filter_that_was_not_prepared_is_an_error() -> None:
    with pytest.raises(RunError, match="before `prepare`"):
        DecontaminationFilter(benchmarks=("code",)).decide(pl.DataFrame({"id": ["a"], "text": ["b"]}))
