"""Each filter gives one verdict per document, in their order, whatever the texts and the parts."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_quality.compression import CompressionFilter
from textbookgen_quality.forest import ForestFilter
from textbookgen_quality.heuristics import HeuristicFilter
from textbookgen_quality.language import LanguageFilter
from textbookgen_quality.python_syntax import PythonSyntaxFilter
from textbookgen_quality.secrets import SecretsFilter

from textbookgen.api.artifacts import Documents, Part
from textbookgen.api.stage import CorpusFilter, Filter, StageInputs

FILTERS: dict[str, Filter | CorpusFilter] = {
    "compression": CompressionFilter(inputs=("x",)),
    "heuristics": HeuristicFilter(inputs=("x",), prose=("gopher", "gopher-repetition", "c4", "fineweb")),
    "language": LanguageFilter(inputs=("x",)),
    "python-syntax": PythonSyntaxFilter(inputs=("x",)),
    "secrets": SecretsFilter(inputs=("x",)),
    "forest": ForestFilter(inputs=("x",), labels=("y",), trees=5, components=4),
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
    for stage in FILTERS.values():
        stage.prepare(StageInputs(inputs, folder, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FILTERS)
def test_chats_are_judged_by_the_contents_of_their_messages(name: str) -> None:
    texts = ["def f(:", "la la " * 100, "key = 'ghp_" + "a1B2" * 9 + "'", "Ein Tag im Tal. " * 9, ""]
    docs = pl.DataFrame({"id": list("abcde"), "text": texts, "kind": ["chat"] * 5})
    chats = docs.select("id", "kind", messages=pl.concat_list(pl.struct(role=pl.lit("user"), content="text")))
    stage = FILTERS[name]
    if isinstance(stage, CorpusFilter):
        assert stage.sketch(chats).equals(stage.sketch(docs))
    else:
        assert stage.decide(chats).equals(stage.decide(docs))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.sampled_from(["code", "page"])), max_size=8), st.integers(0, 8))
@pytest.mark.parametrize("name", FILTERS)
def test_kept_and_dropped_are_everything_in_order(name: str, rows: list[tuple[str, str]], cut: int) -> None:
    stage = FILTERS[name]
    ids = [f"d{n}" for n in range(len(rows))]
    columns = {"id": ids, "text": [text for text, _ in rows], "kind": [kind for _, kind in rows]}
    docs = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    if isinstance(stage, CorpusFilter):
        sketches = pl.concat([stage.sketch(docs[:cut]), stage.sketch(docs[cut:])])
        verdicts = stage.decide(sketches.lazy(), docs.lazy())
    else:
        verdicts = pl.concat([stage.decide(docs[:cut]), stage.decide(docs[cut:])])
        assert verdicts.equals(stage.decide(docs))
    assert verdicts["id"].to_list() == ids
    assert verdicts["keep"].null_count() == 0
    reasons = verdicts.select(reason=pl.col("reason").fill_null(""), keep="keep")
    assert ((reasons["reason"] == "") == reasons["keep"]).all()
