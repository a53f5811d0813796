"""`dedup/online`: near copies of accepted documents are refused, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.stages.online import OnlineDedup

from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.testing import documents

VOCABULARY = [f"word{n}" for n in range(3000)]


def texts(seed: int, count: int, words: int = 120) -> list[str]:
    rng = Random(seed)
    return [" ".join(rng.choices(VOCABULARY, k=words)) for _ in range(count)]


def edited(text: str, changes: int) -> str:
    words = text.split()
    for at in range(changes):
        words[(at * 37 + 5) % len(words)] = "edited"
    return " ".join(words)


def prepared(folder: Path, **options: object) -> OnlineDedup:
    stage = OnlineDedup(**options)
    stage.prepare(StageInputs({}, folder, None))  # type: ignore[arg-type]
    return stage


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 5]) for at in range(len(words) - 4)}


def nearest(text: str, known: list[set[tuple[str, ...]]]) -> float:
    """The highest Jaccard similarity with any of these."""
    mine = shingles(text)
    return max(len(mine & each) / len(mine | each) for each in known)


def test_copies_of_accepted_documents_are_refused(tmp_path: Path) -> None:
    stage, known = prepared(tmp_path), texts(1, 300)
    for low in range(0, 300, 50):
        stage.add_accepted(documents(known[low : low + 50]))
    candidates = [edited(known[n], n % 4) for n in range(0, 300, 3)] + texts(2, 100)
    verdicts = stage.decide(documents(candidates))
    sets = [shingles(each) for each in known]
    expected = [nearest(text, sets) < 0.8 for text in candidates]
    assert verdicts["keep"].to_list() == expected
    assert 0 < sum(expected) < len(expected)
    assert verdicts.filter("keep")["reason"].null_count() == sum(expected)
    first = verdicts.row(0, named=True)
    assert first["reason"] == "near copy"
    assert first["score"] == 1.0
    assert documents(known[:50])["id"][0] in first["detail"]


def test_copies_within_a_part_leave_the_first(tmp_path: Path) -> None:
    (one,), (other,) = texts(3, 1), texts(4, 1)
    verdicts = prepared(tmp_path).decide(documents([one, other, edited(one, 1), one, edited(other, 40)]))
    assert verdicts["keep"].to_list() == [True, True, False, False, True]


def test_refused_documents_are_not_added_to_the_index(tmp_path: Path) -> None:
    stage, docs = prepared(tmp_path), documents(texts(5, 4))
    assert stage.decide(docs)["keep"].all()
    stage.add_accepted(docs[:2])
    assert stage.decide(docs)["keep"].to_list() == [False, False, True, True]


def test_empty_and_short_documents(tmp_path: Path) -> None:
    stage = prepared(tmp_path)
    assert len(stage.decide(documents(["a"])[:0])) == 0
    stage.add_accepted(documents(["a"])[:0])
    assert stage.decide(documents(["", "two words", "two words", ""]))["keep"].to_list() == [True, True, False, False]
    stage.add_accepted(documents(["two words"]))
    assert stage.decide(documents(["two words", "three words here"]))["keep"].to_list() == [False, True]


def test_it_cannot_be_a_step(tmp_path: Path) -> None:
    assert [each.place for each in OnlineDedup(**{"from": "x"}).check()] == ["from"]
    with pytest.raises(RunError, match="before `prepare`"):
        OnlineDedup().decide(pl.DataFrame({"id": ["a"], "text": ["b"]}))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["", "a", "one two three four five six", "One two three, four five six!", "é 中文"]), max_size=8)
)
def test_kept_and_dropped_are_everything_in_order(tmp_path_factory: pytest.TempPathFactory, candidates: list[str]) -> None:
    docs = pl.DataFrame(
        {"id": [f"d{n}" for n in range(len(candidates))], "text": candidates}, schema={"id": pl.String, "text": pl.String}
    )
    verdicts = prepared(tmp_path_factory.mktemp("online")).decide(docs)
    assert verdicts["id"].to_list() == docs["id"].to_list()
    assert verdicts["keep"].null_count() == 0
    assert (verdicts["reason"].is_null() == verdicts["keep"]).all()
