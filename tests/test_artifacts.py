"""Artifacts: tables of parts with verdicts, folders with cards, and the inputs of stages."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.artifacts import Chats, Documents, Pairs, Part, TrainedTokenizer, TransformersCheckpoint, origin_id
from textbookgen.api.errors import RunError
from textbookgen.api.rows import text_of
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.testing import documents, stage_inputs, write_documents


def test_verdicts_select_the_rows_of_a_part_and_keep_their_order(tmp_path: Path) -> None:
    table = write_documents(tmp_path, documents(["a", "b", "c", "d"]))
    ids = table.scan().collect()["id"].to_list()
    keep = [True, False, True, True]
    pl.DataFrame({"id": ids[::-1], "keep": keep[::-1]}).write_parquet(tmp_path / "verdicts.parquet")
    filtered = Documents((Part(table.parts[0].data, tmp_path / "verdicts.parquet"),))
    assert [frame["text"].to_list() for frame in filtered.frames(["text"])] == [["a", "c", "d"]]
    assert filtered.scan().collect()["id"].to_list() == [ids[0], ids[2], ids[3]]
    assert filtered.count() == 3
    assert pickle.loads(pickle.dumps(filtered)) == filtered


def test_an_empty_table_has_the_columns_of_its_type() -> None:
    assert Chats(()).scan().collect().schema == Chats.schema()
    assert list(Chats(()).frames()) == []
    assert Chats(()).count() == 0


def test_columns_of_some_parts_are_null_in_the_others(tmp_path: Path) -> None:
    table = write_documents(tmp_path, documents(["a"]), documents(["b"], **{"toy.words": [1]}))
    assert table.scan().collect()["toy.words"].to_list() == [None, 1]


def test_several_inputs_are_one_table_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    tables = {name: write_documents(tmp_path / name, documents([name])) for name in ("web", "books")}
    inputs = stage_inputs(tmp_path, Plugins([]), from_=tables["web"])
    both = type(inputs)({"from": tables}, tmp_path, inputs.resolver)
    assert both["from"].scan().collect()["text"].to_list() == ["web", "books"]
    assert list(both.by_label("from", Documents)) == ["web", "books"]
    assert both.by_label("tokenizer") == {}
    with pytest.raises(RunError, match="'web' is Documents, but `from` requires Chats"):
        both.by_label("from", Chats)


def test_folders_cannot_be_joined(tmp_path: Path) -> None:
    folders = {name: TransformersCheckpoint(tmp_path / name) for name in ("one", "two")}
    inputs = stage_inputs(tmp_path, Plugins([]))
    with pytest.raises(RunError, match="`from` takes a single stage here, but names 2"):
        type(inputs)({"from": folders}, tmp_path, inputs.resolver)["from"]


def test_a_tokenizer_is_of_an_earlier_stage_or_of_a_plugin(tmp_path: Path) -> None:
    inputs = stage_inputs(tmp_path, Plugins([]))
    assert inputs.tokenizer("tokenizer", "bytes").eod == 256
    trained = stage_inputs(tmp_path, Plugins([]), tokenizer=TrainedTokenizer(tmp_path))
    with pytest.raises(RunError, match=r"there is no tokenizer '.*tokenizer\.json'"):
        trained.tokenizer("tokenizer", "bytes")


def test_types_are_named_with_the_types_they_derive_from(tmp_path: Path) -> None:
    assert TransformersCheckpoint.kinds() == ["TransformersCheckpoint", "Checkpoint"]
    (tmp_path / "checkpoint.json").write_text(json.dumps({"format": "transformers"}), encoding="utf-8")
    assert TransformersCheckpoint(tmp_path).card() == {"format": "transformers"}


def test_rows_are_held_out_by_the_document_that_they_repeat() -> None:
    rows = pl.DataFrame({"id": ["a", "b"], "mix.of": ["x", None]})
    assert rows.select(origin_id(rows.columns)).to_series().to_list() == ["x", "b"]
    assert rows.select(origin_id(["id"])).to_series().to_list() == ["a", "b"]


def test_the_text_of_a_row_is_its_text_or_its_messages() -> None:
    message = {"role": "user", "content": "hi"}
    row = {"prompt": [message], "chosen": [{"role": "assistant", "content": "yes"}], "rejected": []}
    pairs = pl.DataFrame([row], schema=Pairs.content)
    assert text_of(pl.DataFrame({"text": ["a", None]})).to_list() == ["a", ""]
    assert text_of(pairs).to_list()[0].startswith("hi\n\nyes")
    with pytest.raises(RunError, match="there is no column `title` to read"):
        text_of(pl.DataFrame({"text": ["a"]}), "title")
