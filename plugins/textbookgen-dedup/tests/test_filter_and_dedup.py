"""`dedup/filter-and-dedup`: one step gives the verdicts of several."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_dedup.stages.filter_and_dedup import FilterAndDedup
from textbookgen_dedup.stages.minhash import MinHashDedup

from textbookgen.api.stage import Filter, StageInputs


class Long(Filter):
    """Drops documents of few words."""

    name = "long"
    words: int = 60

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        count = pl.col("text").str.count_matches(r"\w+")
        short = count < self.words
        return docs.select("id", keep=~short, reason=pl.when(short).then(pl.lit("too short")), score=count.cast(pl.Float64))


class Polite(Filter):
    """Drops documents that contain a bad word."""

    name = "polite"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        rude = pl.col("text").str.contains("w13 ")
        return docs.select(
            "id", keep=~rude, reason=pl.when(rude).then(pl.lit("rude")), detail=pl.when(rude).then(pl.lit("w13"))
        )


class Resolver:
    def filter(self, use: str | dict[str, int]) -> Filter:
        return Polite() if use == "polite" else Long(words=60 if isinstance(use, str) else use["words"])


def corpus() -> pl.DataFrame:
    rng = random.Random(0)
    texts = []
    for n in range(120):
        words = random.Random(n % 30).choices([f"w{k}" for k in range(400)], k=40 + 4 * (n % 30))
        if n > 60:
            words[rng.randrange(len(words))] = "other"
        texts.append(" ".join(words) + " ")
    return pl.DataFrame({"id": [f"d{n}" for n in range(len(texts))], "text": texts})


def test_one_step_gives_the_verdicts_of_three(tmp_path: Path) -> None:
    docs = corpus()
    stage = FilterAndDedup(inputs=("x",), filters=("polite", {"use": "long", "words": 80}))
    stage.prepare(StageInputs({}, tmp_path, Resolver()))  # type: ignore[arg-type]
    sketches = pl.concat([stage.sketch(docs[:50]), stage.sketch(docs[50:])])
    assert sketches["id"].equals(docs["id"])
    verdicts = stage.decide(sketches.lazy(), docs.lazy())

    first = Polite().decide(docs)
    polite = docs.join(first.filter("keep"), on="id", how="semi", maintain_order="left")
    second = Long(words=80).decide(polite)
    long = polite.join(second.filter("keep"), on="id", how="semi", maintain_order="left")
    dedup = MinHashDedup(inputs=("x",))
    third = dedup.decide(dedup.sketch(long).lazy(), long.lazy())
    steps = pl.concat([each.filter(~pl.col("keep")).select("id", "reason") for each in (first, second, third)])
    assert verdicts["id"].equals(docs["id"])
    assert sorted(verdicts.filter(~pl.col("keep")).select("id", "reason").rows()) == sorted(steps.rows())
    assert {"rude", "too short", "near copy", "exact copy"} <= set(verdicts["reason"])
    assert verdicts.filter(reason="rude")["detail"].unique().to_list() == ["w13"]
    assert verdicts.filter(reason="too short")["score"].max() < 80


TEXTS = st.sampled_from(
    ["", "w13 is rude", "w1 w2 w3", "w1 W2 w3!", " ".join(f"w{n}" for n in range(70)), "é 中文", "w13 " * 80]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, max_size=12), st.integers(0, 12))
def test_kept_and_dropped_are_everything_in_order(texts: list[str], cut: int) -> None:
    docs = pl.DataFrame(
        {"id": [f"d{n}" for n in range(len(texts))], "text": texts}, schema={"id": pl.String, "text": pl.String}
    )
    stage = FilterAndDedup(inputs=("x",), filters=("polite", {"use": "long", "words": 2}))
    stage.prepare(StageInputs({}, Path("nowhere"), Resolver()))  # type: ignore[arg-type]
    sketches = pl.concat([stage.sketch(docs[:cut]), stage.sketch(docs[cut:])])
    verdicts = stage.decide(sketches.lazy(), docs.lazy())
    assert verdicts["id"].to_list() == docs["id"].to_list()
    assert verdicts["keep"].null_count() == 0
    assert (verdicts["reason"].is_null() == verdicts["keep"]).all()
