"""That batches added to an index on disk get the verdicts that one run over all of them would give."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.stages.minhash import MinHashDedup

from textbookgen.api.errors import RunError

VOCABULARY = [f"word{n}" for n in range(2000)]


def text(seed: int, edit: float, at: int) -> str:
    words = random.Random(seed).choices(VOCABULARY, k=90)
    size = int(len(words) * edit)
    return " ".join([*words[:at], *(f"other{at}-{n}" for n in range(size)), *words[at + size :]])


def judged(docs: pl.DataFrame, **options: object) -> pl.DataFrame:
    judge = MinHashDedup(inputs=("x",), **options)
    return judge.decide(judge.sketch(docs).lazy(), docs.lazy())


def table(drawn: list[tuple[int, float, int]]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"d{n}" for n in range(len(drawn))], "text": [text(*each) for each in drawn]})


DRAWN = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0, 0.02, 0.05, 0.3]), st.integers(0, 20)), min_size=2, max_size=30
)


@settings(max_examples=25, deadline=None)
@given(DRAWN, st.lists(st.integers(0, 30), max_size=3))
def test_batches_get_the_verdicts_of_one_run(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, float, int]], cuts: list[int]
) -> None:
    docs, folder = table(drawn), tmp_path_factory.mktemp("index")
    bounds = [0, *sorted(cuts), len(docs)]
    parts = [docs[low:high] for low, high in pairwise(bounds) if docs[low:high].height]
    found = pl.concat([judged(part, index=str(folder)) for part in parts])
    whole = judged(docs)
    same = ["id", "keep", "reason", "score", "detail"]
    assert found.select(same).equals(whole.select(same))


def test_the_same_batch_again_gets_the_same_verdicts_and_is_not_added_twice(tmp_path: Path) -> None:
    docs = table([(seed % 7, 0.02 * (seed % 3), seed) for seed in range(20)])
    first = judged(docs, index=str(tmp_path))
    files = sorted(tmp_path.rglob("*"))
    assert judged(docs, index=str(tmp_path)).equals(first)
    assert sorted(tmp_path.rglob("*")) == files
    renamed = docs.with_columns(pl.col("id") + "x")
    assert not judged(renamed, index=str(tmp_path))["keep"].any()


def test_an_addition_that_was_cut_short_does_not_count(tmp_path: Path) -> None:
    docs = table([(seed, 0, 0) for seed in range(6)])
    judged(docs[:3], index=str(tmp_path))
    card = (tmp_path / "index.json").read_text()
    judged(docs[3:], index=str(tmp_path))
    (tmp_path / "index.json").write_text(card)  # as if it had been killed before the last file was written
    assert judged(docs[3:], index=str(tmp_path))["keep"].all()
    assert not judged(docs.with_columns(pl.col("id") + "x"), index=str(tmp_path))["keep"].any()


def test_an_index_of_other_options_is_refused(tmp_path: Path) -> None:
    docs = table([(1, 0, 0), (2, 0, 0)])
    judged(docs, index=str(tmp_path))
    with pytest.raises(RunError, match="was made with"):
        judged(docs, index=str(tmp_path), threshold=0.7)


@pytest.mark.parametrize("room", [3_000, 60_000])
def test_without_memory_for_all_blocks_the_verdicts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    from textbookgen_dedup.lsh.spill import SpillBuffer

    docs = table([(seed % 11, 0.02 * (seed % 4), seed % 40) for seed in range(120)])
    whole = judged(docs)
    monkeypatch.setattr(SpillBuffer, "of", classmethod(lambda cls, folder, mib: cls(folder, room)))
    found = pl.concat([judged(docs[low : low + 40], index=str(tmp_path)) for low in (0, 40, 80)])
    assert found.select("id", "keep", "reason", "score").equals(whole.select("id", "keep", "reason", "score"))
