"""That what each judge keeps and what it drops is everything, in the order in which it came, whatever the texts."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_quality.compression import Compression
from textbookgen_quality.forest import Forest
from textbookgen_quality.heuristics import Heuristics
from textbookgen_quality.language import Language
from textbookgen_quality.parses import Parses
from textbookgen_quality.secrets import Secrets

from textbookgen.api.artifacts import Documents, Part
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs

JUDGES: dict[str, Filter | CorpusFilter] = {
    "compression": Compression(inputs=("x",)),
    "heuristics": Heuristics(inputs=("x",), prose=("gopher", "gopher-repetition", "c4", "fineweb")),
    "language": Language(inputs=("x",)),
    "parses": Parses(inputs=("x",)),
    "secrets": Secrets(inputs=("x",)),
    "forest": Forest(inputs=("x",), labels=("y",), trees=5, components=4),
}
TEXTS = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["def f(x):\n    return x\n", "def f(:", "la la " * 100, "key = 'ghp_" + "a1B2" * 9 + "'", "Ein Tag im Tal. " * 9]
    ),
)


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("labels")
    labels = pl.DataFrame({"text": [f"word{n % 7} {n}" for n in range(40)], "quality.score": [float(n % 6) for n in range(40)]})
    labels.write_parquet(folder / "labels.parquet")
    inputs = {"labels": {"y": Documents((Part(folder / "labels.parquet"),))}}
    for judge in JUDGES.values():
        judge.prepare(StageInputs(inputs, folder, None))  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.sampled_from(["code", "page"])), max_size=8), st.integers(0, 8))
@pytest.mark.parametrize("name", JUDGES)
def test_kept_and_dropped_are_everything_in_order(name: str, drawn: list[tuple[str, str]], cut: int) -> None:
    judge = JUDGES[name]
    ids = [f"d{n}" for n in range(len(drawn))]
    columns = {"id": ids, "text": [text for text, _ in drawn], "kind": [kind for _, kind in drawn]}
    docs = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    if isinstance(judge, CorpusFilter):
        sketches = pl.concat([judge.sketch(docs[:cut]), judge.sketch(docs[cut:])])
        found = judge.decide(sketches.lazy(), docs.lazy())
    else:
        found = pl.concat([judge.decide(docs[:cut]), judge.decide(docs[cut:])])
        assert found.equals(judge.decide(docs))
    assert found["id"].to_list() == ids
    assert found["keep"].null_count() == 0
    reasons = found.select(reason=pl.col("reason").fill_null(""), keep="keep")
    assert ((reasons["reason"] == "") == reasons["keep"]).all()
