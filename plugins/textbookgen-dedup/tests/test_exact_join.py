"""Deduplication equals an exact join that compares every pair of documents, on small corpora of every shape."""

from __future__ import annotations

import random
import re
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.lsh.spill import SpillBuffer
from textbookgen_dedup.stages.minhash import MinHashDedup
from textbookgen_dedup.stages.online import OnlineDedup

from textbookgen import StageInputs

UNSPACED = r"[\u4e00-\u9fff\u3040-\u30ff\u0e00-\u0e7f]"
VOCABULARY = ["alpha", "beta", "gamma", "Δέλτα", "épsilon", "дзета", "eta_1", "七", "日本語", "ไทย", "naïve", "x", "42"]

Shingles = frozenset[tuple[str, ...]]


def words_of(text: str) -> list[str]:
    """Words by Python's own Unicode rules."""
    unified = re.sub(f"({UNSPACED})", r" \1 ", unicodedata.normalize("NFKC", text).lower())
    return re.findall(r"\w+", unified)


def shingles(text: str, size: int) -> Shingles:
    words = words_of(text)
    return frozenset(tuple(words[at : at + size]) for at in range(max(1, len(words) - size + 1))) if words else frozenset()


def jaccard(one: Shingles, other: Shingles) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def exact_join(texts: list[str], threshold: float, size: int) -> list[int | None]:
    """Return for each document the first kept one before it that it is a copy of, comparing all pairs."""
    sets, originals, kept = [shingles(text, size) for text in texts], list[int | None](), list[int]()
    for at, text in enumerate(texts):
        same = [
            other for other in kept if words_of(texts[other]) == words_of(text) and (words_of(text) or texts[other] == text)
        ]
        near = [other for other in kept if threshold < 1 and jaccard(sets[at], sets[other]) >= threshold]
        originals.append(min([*same, *near], default=None))
        if originals[-1] is None:
            kept.append(at)
    return originals


def table(texts: list[str]) -> pl.DataFrame:
    ids = [f"d{at}" for at in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String})


def verdicts_on(docs: pl.DataFrame, **options: object) -> pl.DataFrame:
    stage = MinHashDedup(inputs=("x",), **options)
    return stage.decide(stage.sketch(docs).lazy(), docs.lazy())


def edited_corpus(seed: int, size: int = 120) -> list[str]:
    """Texts of various lengths and their copies, with word edits all over or in one block, of any share."""
    rng, texts = random.Random(seed), list[str]()
    vocabulary = [f"{word}{n}" for word in VOCABULARY for n in range(60)]
    for _ in range(size):
        if not texts or rng.random() < 0.3:
            texts.append(" ".join(rng.choices(vocabulary, k=rng.choice([1, 4, 5, 6, 20, 80, 200]))))
            continue
        words = rng.choice(texts).split()
        count = round(rng.choice([0, 0.005, 0.01, 0.03, 0.06, 0.1, 0.2]) * len(words))
        start = rng.randrange(len(words) - count + 1)
        for at in rng.sample(range(len(words)), count) if rng.random() < 0.5 else range(start, start + count):
            words[at] = rng.choice(vocabulary)
        texts.append(rng.choice([" ", "  ", "\n", ", "]).join(words))
    return texts


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("threshold", [0.4, 0.6, 0.8, 0.95, 1])
def test_verdicts_equal_those_of_an_exact_join(threshold: float, size: int) -> None:
    texts = edited_corpus(seed=round(100 * threshold) + size)
    verdicts = verdicts_on(table(texts), threshold=threshold, shingle=size)
    originals = exact_join(texts, threshold, size)
    assert 10 < sum(original is not None for original in originals) < len(texts) - 10
    assert verdicts["keep"].to_list() == [original is None for original in originals]
    dropped = verdicts.filter(~pl.col("keep"))
    assert dropped["dedup.cluster"].to_list() == [f"d{original}" for original in originals if original is not None]
    for row in dropped.iter_rows(named=True):
        pair = (shingles(texts[int(name[1:])], size) for name in (row["id"], row["dedup.cluster"]))
        assert row["score"] == pytest.approx(jaccard(*pair))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from([*VOCABULARY, "...", "—"]), max_size=12).map(" ".join), max_size=14))
def test_short_documents_of_all_scripts_equal_an_exact_join(texts: list[str]) -> None:
    verdicts = verdicts_on(table(texts), threshold=0.5, shingle=2, permutations=256)
    assert verdicts["id"].to_list() == [f"d{at}" for at in range(len(texts))]
    assert verdicts["keep"].to_list() == [original is None for original in exact_join(texts, 0.5, 2)]


def test_documents_without_words_are_copies_only_if_their_characters_are_the_same() -> None:
    verdicts = verdicts_on(table(["", "?!", "", "?!", "!?", " ", "a", "A.", "日", "日!", "本"]))
    assert verdicts["keep"].to_list() == [True, True, False, False, True, True, True, False, True, False, True]
    assert set(verdicts["reason"].drop_nulls()) == {"exact copy"}


@pytest.mark.parametrize("seed", range(3))
def test_with_a_content_policy_the_order_of_the_corpus_does_not_matter(seed: int) -> None:
    docs = table([text + "." * at for at, text in enumerate(edited_corpus(seed, 80))])
    docs = docs.filter(pl.col("text").str.len_chars().is_first_distinct())  # a tie would be broken by the order
    columns = ["id", "keep", "reason", "score", "dedup.cluster"]
    expected = verdicts_on(docs, keep="longest").select(columns).sort("id")
    assert 0 < expected["keep"].sum() < len(docs)
    shuffled = docs.sample(fraction=1, shuffle=True, seed=seed)
    assert verdicts_on(shuffled, keep="longest").select(columns).sort("id").equals(expected)


@pytest.mark.parametrize("budget", [2_000, 30_000])
def test_a_small_memory_budget_gives_the_exact_join_with_and_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    texts = edited_corpus(5, 150)
    originals = exact_join(texts, 0.8, 5)
    expected = [(original is None, None if original is None else f"d{original}") for original in originals]
    cluster = pl.when(~pl.col("keep")).then("dedup.cluster")
    monkeypatch.setattr(SpillBuffer, "of_mib", classmethod(lambda cls, folder, mib: cls(folder, budget)))
    docs = table(texts)
    assert verdicts_on(docs).select("keep", cluster).rows() == expected
    batches = [verdicts_on(docs[low : low + 50], index=str(tmp_path / "index")) for low in (0, 50, 100)]
    assert pl.concat(batches).select("keep", cluster).rows() == expected


def test_more_candidate_pairs_than_the_buffer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six groups of 60 near copies share a band each: 10,620 pairs, for which signatures are read from a file."""
    rng = random.Random(4)
    groups = [rng.choices([f"w{n}" for n in range(900)], k=200) for _ in range(6)]
    texts = [" ".join([*words, f"end{n}"]) for words in groups for n in range(60)]
    rng.shuffle(texts)
    expected = verdicts_on(table(texts))
    assert expected["keep"].sum() == 6
    monkeypatch.setattr(SpillBuffer, "of_mib", classmethod(lambda cls, folder, mib: cls(folder, 2_000)))
    assert verdicts_on(table(texts)).equals(expected)


@pytest.mark.parametrize("part", [1, 7, 60])
def test_online_deduplication_keeps_what_the_corpus_stage_keeps(tmp_path: Path, part: int) -> None:
    docs = table(edited_corpus(9, 120))
    stage = OnlineDedup()
    stage.prepare(StageInputs({}, tmp_path, None))  # type: ignore[arg-type]
    kept = list[str]()
    for rows in docs.iter_slices(part):
        verdicts = stage.decide(rows)
        accepted = rows.join(verdicts.filter("keep"), on="id", how="semi", maintain_order="left")
        stage.add_accepted(accepted)
        kept += accepted["id"].to_list()
    assert kept == verdicts_on(docs).filter("keep")["id"].to_list()


def chat(*contents: str) -> list[dict[str, str]]:
    return [{"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(contents)]


LONG, OTHER = (" ".join(random.Random(seed).choices([f"w{n}" for n in range(900)], k=150)) for seed in (1, 2))
CHATS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "messages": [chat("Explain.", LONG), chat("Explain!", LONG), chat("Explain.", LONG, "More."), chat("Explain.", OTHER)],
    }
)
PAIRS = pl.DataFrame(
    {
        "id": ["a", "b", "c"],
        "prompt": [chat("Explain."), chat("Explain."), chat("Explain.")],
        "chosen": [chat("", LONG)[1:], chat("", OTHER)[1:], chat("", LONG)[1:]],
        "rejected": [chat("", "No.")[1:], chat("", "No.")[1:], chat("", "No!")[1:]],
    }
)


@pytest.mark.parametrize(("rows", "keep"), [(CHATS, [True, False, False, True]), (PAIRS, [True, True, False])])
def test_chats_and_pairs_are_compared_by_all_their_messages(tmp_path: Path, rows: pl.DataFrame, keep: list[bool]) -> None:
    assert verdicts_on(rows)["keep"].to_list() == keep
    stage = OnlineDedup()
    stage.prepare(StageInputs({}, tmp_path, None))  # type: ignore[arg-type]
    assert stage.decide(rows)["keep"].to_list() == keep


def test_the_best_copy_is_kept_even_if_scores_are_missing() -> None:
    docs = table([LONG] * 4).with_columns(pl.Series("quality.score", [None, float("nan"), 0.5, 3.0]))
    assert verdicts_on(docs, keep="best").filter("keep")["id"].to_list() == ["d3"]


def test_batches_with_a_policy_keep_earlier_documents(tmp_path: Path) -> None:
    """A document of the index is kept whatever the policy: it cannot be dropped afterwards."""
    first, second = table([LONG]), table([f"{LONG} and more", OTHER]).with_columns(id="new-" + pl.col("id"))
    verdicts_on(first, keep="longest", index=str(tmp_path))
    verdicts = verdicts_on(second, keep="longest", index=str(tmp_path))
    assert verdicts["keep"].to_list() == [False, True]
    assert verdicts["dedup.cluster"].to_list() == ["d0", None]
