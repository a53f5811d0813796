"""Batches added to an index on disk get the verdicts of one run over all of them."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.lsh.spill import SpillBuffer
from textbookgen_dedup.stages.minhash import MinHashDedup

from textbookgen.api.errors import RunError

VOCABULARY = [f"word{n}" for n in range(2000)]


def text(seed: int, edit: float, at: int) -> str:
    words = random.Random(seed).choices(VOCABULARY, k=90)
    size = int(len(words) * edit)
    return " ".join([*words[:at], *(f"other{at}-{n}" for n in range(size)), *words[at + size :]])


def verdicts_on(docs: pl.DataFrame, **options: object) -> pl.DataFrame:
    stage = MinHashDedup(inputs=("x",), **options)
    return stage.decide(stage.sketch(docs).lazy(), docs.lazy())


def table(edits: list[tuple[int, float, int]]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"d{n}" for n in range(len(edits))], "text": [text(*each) for each in edits]})


EDITS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0, 0.02, 0.05, 0.3]), st.integers(0, 20)), min_size=2, max_size=30
)


@settings(max_examples=25, deadline=None)
@given(EDITS, st.lists(st.integers(0, 30), max_size=3))
def test_batches_get_the_verdicts_of_one_run(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, float, int]], cuts: list[int]
) -> None:
    docs, folder = table(edits), tmp_path_factory.mktemp("index")
    bounds = [0, *sorted(cuts), len(docs)]
    parts = [docs[low:high] for low, high in pairwise(bounds) if docs[low:high].height]
    verdicts = pl.concat([verdicts_on(part, index=str(folder)) for part in parts])
    whole = verdicts_on(docs)
    same = ["id", "keep", "reason", "score", "detail"]
    assert verdicts.select(same).equals(whole.select(same))


def test_a_repeated_batch_gets_the_same_verdicts_and_is_not_added_again(tmp_path: Path) -> None:
    docs = table([(seed % 7, 0.02 * (seed % 3), seed) for seed in range(20)])
    first = verdicts_on(docs, index=str(tmp_path))
    files = sorted(tmp_path.rglob("*"))
    assert verdicts_on(docs, index=str(tmp_path)).equals(first)
    assert sorted(tmp_path.rglob("*")) == files
    renamed = docs.with_columns(pl.col("id") + "x")
    assert not verdicts_on(renamed, index=str(tmp_path))["keep"].any()


def test_an_interrupted_addition_does_not_count(tmp_path: Path) -> None:
    docs = table([(seed, 0, 0) for seed in range(6)])
    verdicts_on(docs[:3], index=str(tmp_path))
    card = (tmp_path / "index.json").read_text()
    verdicts_on(docs[3:], index=str(tmp_path))
    (tmp_path / "index.json").write_text(card)  # as if it had been killed before the last file was written
    assert verdicts_on(docs[3:], index=str(tmp_path))["keep"].all()
    assert not verdicts_on(docs.with_columns(pl.col("id") + "x"), index=str(tmp_path))["keep"].any()


def test_an_index_with_other_options_is_an_error(tmp_path: Path) -> None:
    docs = table([(1, 0, 0), (2, 0, 0)])
    verdicts_on(docs, index=str(tmp_path))
    with pytest.raises(
        RunError, match=r"other options: threshold 0\.8 instead of 0\.7|other options: .*threshold 0\.8 instead of 0\.7"
    ):
        verdicts_on(docs, index=str(tmp_path), threshold=0.7)


@pytest.mark.parametrize("budget", [3_000, 60_000])
def test_verdicts_do_not_depend_on_the_memory_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    docs = table([(seed % 11, 0.02 * (seed % 4), seed % 40) for seed in range(120)])
    whole = verdicts_on(docs)
    monkeypatch.setattr(SpillBuffer, "of_mib", classmethod(lambda cls, folder, mib: cls(folder, budget)))
    verdicts = pl.concat([verdicts_on(docs[low : low + 40], index=str(tmp_path)) for low in (0, 40, 80)])
    assert verdicts.select("id", "keep", "reason", "score").equals(whole.select("id", "keep", "reason", "score"))
