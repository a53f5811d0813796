"""`dedup/minhash`: what it drops and keeps, whatever the parts, the memory and the order."""

from __future__ import annotations

import random
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.lsh import candidates
from textbookgen_dedup.lsh.signatures import MinHashScheme, shingle_sets, sketch_texts
from textbookgen_dedup.lsh.spill import SpillBuffer
from textbookgen_dedup.stages.minhash import MinHashDedup

from textbookgen.api.stage import StageInputs

VOCABULARY = [f"word{n}" for n in range(3000)]


def words(seed: int, count: int = 300) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=count)


def edited(text: list[str], share: float, seed: int = 1) -> list[str]:
    """A copy in which one block of words is another."""
    size = int(len(text) * share)
    at = random.Random(seed).randrange(len(text) - size)
    return [*text[:at], *(f"other{n}" for n in range(size)), *text[at + size :]]


def table(*texts: str, **columns: object) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"d{n}" for n in range(len(texts))], "text": list(texts), **columns})


def verdicts_on(docs: pl.DataFrame, parts: int = 1, **options: object) -> pl.DataFrame:
    stage = MinHashDedup(inputs=("x",), **options)
    size = max(1, -(-len(docs) // parts))
    sketches = pl.concat([stage.sketch(docs[at : at + size]) for at in range(0, max(1, len(docs)), size)])
    return stage.decide(sketches.lazy(), docs.lazy())


def shingles(text: str, size: int = 5) -> set[tuple[str, ...]]:
    tokens = re.findall(r"\w+", text.lower())
    return {tuple(tokens[at : at + size]) for at in range(max(1, len(tokens) - size + 1))}


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_exact_copies_near_copies_and_others() -> None:
    text = words(1)
    docs = table(
        " ".join(text),
        " ".join(text).upper() + "!",
        " ".join(edited(text, 0.05)),
        " ".join(edited(text, 0.5)),
        " ".join(words(2)),
    )
    verdicts = verdicts_on(docs)
    assert verdicts["keep"].to_list() == [True, False, False, True, True]
    assert verdicts["reason"].to_list() == [None, "exact copy", "near copy", None, None]
    assert verdicts["dedup.cluster"].to_list() == ["d0", "d0", "d0", None, None]
    assert verdicts["score"][2] == pytest.approx(jaccard(docs["text"][0], docs["text"][2]))
    assert verdicts["detail"][2].endswith("with d0")


def test_the_jaccard_index_is_the_true_one_and_decides() -> None:
    base = words(3, 400)
    docs = table(*(" ".join(edited(base, share / 100, seed)) for seed, share in enumerate(range(1, 20))), " ".join(base))
    verdicts = verdicts_on(docs)
    for text, keep, kept_id, score in verdicts.join(docs, on="id").select("text", "keep", "dedup.cluster", "score").rows():
        if not keep:
            original = docs.filter(id=kept_id)["text"][0]
            assert verdicts.filter(id=kept_id)["keep"][0]
            assert jaccard(text, original) == pytest.approx(score)
            assert score >= 0.8


def test_a_chain_loses_only_copies_of_kept_documents() -> None:
    chain = [words(4, 400)]
    for step in range(12):
        chain.append(edited(chain[-1], 0.06, step))
    docs = table(*(" ".join(text) for text in chain))
    verdicts = verdicts_on(docs)
    texts = dict(docs.select("id", "text").rows())
    for dropped in verdicts.filter(~pl.col("keep")).iter_rows(named=True):
        assert jaccard(texts[dropped["id"]], texts[dropped["dedup.cluster"]]) >= 0.8
    assert verdicts["keep"].sum() > 1


def test_signatures_are_those_of_datasketch() -> None:
    from datasketch import MinHash

    texts = pl.Series([" ".join(words(5, 700)), "only three words", ""])
    mine = sketch_texts(pl.Series(["a", "b", "c"]), texts, MinHashScheme.for_threshold(0.8, 5, 128))["signature"].to_numpy()
    values, ends = shingle_sets(texts, 5)
    for row, (low, high) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        theirs = MinHash(128, scheme="affine32", hashfunc=lambda value: value)
        theirs.update_batch([int(value) & 0xFFFFFFFF for value in values[low:high]])
        assert (theirs.hashvalues == mine[row]).all()


def test_shingle_sets_have_the_sizes_of_true_ones() -> None:
    texts = [" ".join(words(6, 200) * 2), "a b", "", "Ünïcode “quoted” text—with dashes, and more words", "数学は楽しい"]
    _, ends = shingle_sets(pl.Series(texts), 5)
    sizes = [high - low for low, high in zip([0, *ends[:-1]], ends, strict=True)]
    assert sizes == [len(shingles(texts[0])), 1, 0, len(shingles(texts[3])), 2]  # six characters are six words


@pytest.mark.parametrize(("keep", "expected"), [("first", "d0"), ("longest", "d2"), ("best", "d1"), ("source", "d1")])
def test_the_policy_decides_which_copy_is_kept(keep: str, expected: str) -> None:
    text = " ".join(words(7))
    docs = table(text, text, text + " a few more words", **{"kind": ["page", "story", "page"], "step": ["web-0123abcd"] * 3})
    docs = docs.with_columns(pl.Series("quality.score", [1.0, 3.0, 2.0]))
    verdicts = verdicts_on(docs, keep=keep, sources=("story", "web"))
    assert verdicts.filter("keep")["id"].to_list() == [expected]
    assert set(verdicts["dedup.cluster"]) == {expected}


def test_an_exact_copy_of_a_near_copy_names_the_kept_document() -> None:
    text = words(8)
    near = " ".join(edited(text, 0.04))
    verdicts = verdicts_on(table(" ".join(text), near, near))
    assert verdicts["dedup.cluster"].to_list() == ["d0"] * 3
    assert verdicts["reason"].to_list() == [None, "near copy", "near copy"]


@pytest.mark.parametrize(("budget", "keep"), [(3_000, "first"), (40_000, "first"), (40_000, "longest"), (400_000, "first")])
def test_verdicts_do_not_depend_on_the_memory_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, budget: int, keep: str
) -> None:
    texts = [" ".join(edited(words(seed % 40, 120), 0.02 * (seed % 7), seed)) for seed in range(400)]
    docs = table(*texts)
    whole = verdicts_on(docs, keep=keep)
    monkeypatch.setattr(SpillBuffer, "of_mib", classmethod(lambda cls, folder, mib: cls(folder, budget)))
    stage = MinHashDedup(inputs=("x",), keep=keep)
    stage.prepare(StageInputs({}, tmp_path / "step", None))  # type: ignore[arg-type]
    assert stage.decide(stage.sketch(docs).lazy(), docs.lazy()).equals(whole)
    assert not list((tmp_path / "step").iterdir())


def test_large_groups_that_share_a_band_lose_only_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(edited(words(seed % 3, 100), 0.04 * (seed % 9), seed)) for seed in range(150)]
    whole = verdicts_on(table(*texts))
    monkeypatch.setattr(candidates, "_MAX_GROUP", 4)
    assert verdicts_on(table(*texts)).equals(whole)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 0.03, 0.1, 0.3])), min_size=1, max_size=30), st.integers(1, 5))
def test_kept_and_dropped_are_everything_in_order_whatever_the_parts(edits: list[tuple[int, float]], parts: int) -> None:
    docs = table(*(" ".join(edited(words(seed, 80), share, at)) for at, (seed, share) in enumerate(edits)))
    verdicts = verdicts_on(docs, parts)
    assert verdicts["id"].to_list() == docs["id"].to_list()
    assert verdicts.equals(verdicts_on(docs, 1))
    kept = verdicts.filter("keep").join(docs, on="id")["text"].to_list()
    assert all(jaccard(one, other) < 0.8 for at, one in enumerate(kept) for other in kept[:at])


def test_later_documents_change_nothing_for_earlier_ones() -> None:
    docs = table(*(" ".join(edited(words(seed % 9, 150), 0.02 * (seed % 5), seed)) for seed in range(60)))
    assert (
        verdicts_on(docs[:40])
        .select("id", "keep", "reason", "score")
        .equals(verdicts_on(docs)[:40].select("id", "keep", "reason", "score"))
    )


def test_chats_are_compared_by_the_contents_of_messages() -> None:
    messages = [[{"role": "user", "content": "hello"}, {"role": "assistant", "content": " ".join(words(9))}]] * 2
    docs = pl.DataFrame({"id": ["a", "b"], "messages": messages})
    assert verdicts_on(docs)["keep"].to_list() == [True, False]


def test_inconsistent_options_are_reported() -> None:
    assert [each.place for each in MinHashDedup(inputs=("x",), bands=30, rows=5).check()] == ["bands"]
    assert [each.place for each in MinHashDedup(inputs=("x",), bands=30).check()] == ["bands"]
    assert [each.place for each in MinHashDedup(inputs=("x",), keep="source").check()] == ["sources"]
    assert not list(MinHashDedup(inputs=("x",)).check())


def test_empty_corpora_and_empty_documents() -> None:
    assert verdicts_on(table().cast(pl.String)).is_empty()
    assert verdicts_on(table(""))["keep"].to_list() == [True]


SUM = """def total(values):
    'Adds.'
    result = 0  # so far
    for value in values:
        result += value
    return result
"""
REFORMATTED = "def total( values ):\n    result=0\n    for value in values: result+=value\n    return result\n"
RENAMED = REFORMATTED.replace("value", "number").replace("total", "add").replace("result", "so_far")
OTHER = REFORMATTED.replace("+=", "-=")


@pytest.mark.parametrize(
    ("form", "kept"),
    [("words", [True, True, True, False]), ("code", [True, False, True, True]), ("syntax", [True, False, False, True])],
)
def test_code_can_be_compared_by_its_tree(form: str, kept: list[bool]) -> None:
    verdicts = verdicts_on(table(SUM, REFORMATTED, RENAMED, OTHER), form=form)
    assert verdicts["keep"].to_list() == kept
