"""Exports can be read by other libraries, contain every row once, and are the same in every run."""

import json
import random
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textbookgen.api.artifacts import MESSAGES, Chats, Documents, Pairs, Part, Shards
from textbookgen.api.cards import ExportManifest
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.api.validation_split import is_held_out
from textbookgen.builtin.stages import export as exports
from textbookgen.builtin.stages.export import Export
from textbookgen.builtin.stages.pack.stage import Pack
from textbookgen.training.shards import TokenFile


class Resolver:
    def tokenizer(self, name: str) -> ByteTokenizer:
        assert name == "bytes"
        return ByteTokenizer()


def documents(folder: Path, texts: list[str], parts: int = 3) -> Documents:
    part_files = []
    size = -(-len(texts) // parts) or 1
    for start in range(0, len(texts), size):
        rows = pl.DataFrame(
            {"id": [f"id{n}" for n in range(start, min(start + size, len(texts)))], "text": texts[start : start + size]}
        )
        if start:  # a column that only later parts have
            rows = rows.with_columns(pl.lit(start, dtype=pl.Int32).alias("own.start"))
        file = folder / f"{start}.parquet"
        rows.write_parquet(file)
        part_files.append(Part(file))
    return Documents(tuple(part_files))


def export(folder: Path, table, **options) -> Shards:
    folder.mkdir()
    stage = Export(**{"from": "corpus"}, **options)
    assert list(stage.check()) == []
    stage.pack(StageInputs({"from": {"corpus": table}}, folder, Resolver()), folder)
    return Shards(folder)


def test_parquet_text_follows_the_contract_of_nanochat(tmp_path):
    texts = [f"Text {n}.\n" + "x" * (n % 50) for n in range(5000)]
    exported = export(tmp_path / "out", documents(tmp_path, texts), layout="parquet-text", rows_per_file=1500, processes=1)
    files = sorted(exported.path.glob("*.parquet"))
    assert [file.name for file in files] == [f"shard_{n:05}.parquet" for n in range(5)]
    tables = [pq.read_table(file) for file in files]
    assert {tuple(table.column_names) for table in tables} == {("text",)}
    held_out = tables[-1].num_rows
    assert 70 < held_out < 130  # a fiftieth, for validation
    assert sorted(text for table in tables for text in table["text"].to_pylist()) == sorted(texts)
    assert pq.ParquetFile(files[0]).metadata.row_group(0).num_rows == 1024
    assert all(1100 < table.num_rows < 1400 for table in tables[:4])
    card = exported.card()
    assert (card["format"], card["documents"], card["validation_documents"]) == ("parquet-text", 5000, held_out)
    assert card["bytes"] == sum(len(text) for text in texts)
    assert [file["split"] for file in card["files"]] == ["train"] * 4 + ["validation"]
    assert card["digests"].keys() == {file.name for file in files}
    assert {path.name for path in exported.path.iterdir()} == {file.name for file in files} | {"manifest.json", "README.md"}


def test_rows_are_shuffled_and_validation_is_a_sample_of_all(tmp_path):
    texts = [str(n) for n in range(4000)]
    exported = export(tmp_path / "out", documents(tmp_path, texts), layout="parquet-text", validation=0.1)
    train, held_out = (
        [int(text) for text in pl.read_parquet(exported.path / f"shard_0000{n}.parquet")["text"]] for n in range(2)
    )
    assert abs(sum(held_out) / len(held_out) - 2000) < 250  # four standard errors
    assert 320 < len(held_out) < 480
    halves = sum(number < 2000 for number in train[:1000])
    assert 420 < halves < 580
    other = export(tmp_path / "other", documents(tmp_path, texts), layout="parquet-text", validation=0.1, seed=1)
    assert set(pl.read_parquet(other.path / "shard_00001.parquet")["text"]) != {str(number) for number in held_out}


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 120), st.integers(1, 60), st.booleans(), st.sampled_from([0.0, 0.2]), st.integers(1, 5))
def test_every_row_is_written_once_for_all_sizes(tmp_path_factory, rows, rows_per_file, shuffle, validation, parts):
    folder = tmp_path_factory.mktemp("rows")
    options = {"layout": "jsonl", "rows_per_file": rows_per_file, "shuffle": shuffle, "validation": validation}
    table = documents(folder, [str(n) for n in range(rows)], parts)
    exported = export(folder / "out", table, **options)
    files = sorted(file for file in exported.path.iterdir() if file.name.startswith("train"))
    lines = [json.loads(line)["text"] for file in files for line in file.read_text().splitlines()]
    held_out = [
        json.loads(line)["text"] for file in exported.path.glob("validation*") for line in file.read_text().splitlines()
    ]
    assert sorted(lines + held_out, key=int) == [str(n) for n in range(rows)]
    ids = [f"id{n}" for n in range(rows)]
    chosen = [n for n, key in enumerate(ids) if is_held_out(key, validation)]
    assert sorted(map(int, held_out)) == chosen or (validation and len(held_out) in (1, rows - 1))
    if not shuffle:
        assert lines == sorted(lines, key=int)
        assert [len(file.read_text().splitlines()) for file in files[:-1]] == [rows_per_file] * (len(files) - 1)
    again = export(folder / "again", documents(folder, [str(n) for n in range(rows)], parts=1), **options)
    assert again.card()["digests"] == exported.card()["digests"]


def test_a_corpus_larger_than_the_buffer_gives_the_same_files(tmp_path, monkeypatch):
    rng = random.Random("corpus")
    texts = [rng.randbytes(100).hex() for _ in range(2000)]
    before = export(tmp_path / "before", documents(tmp_path, texts), layout="parquet-text", rows_per_file=300)
    monkeypatch.setattr(exports, "SPILL_BYTES", 1000)
    after = export(tmp_path / "after", documents(tmp_path, texts, parts=20), layout="parquet-text", rows_per_file=300)
    assert before.card() == after.card()


def test_the_spill_of_a_killed_run_is_discarded(tmp_path):
    unsorted = tmp_path / "out" / "unsorted" / "000000"
    unsorted.mkdir(parents=True)
    pl.DataFrame({"text": ["stale"], "_position": [0], "_file": [0]}).write_parquet(unsorted / "0.parquet")
    stage = Export(**{"from": "corpus"}, layout="jsonl")
    stage.pack(StageInputs({"from": {"corpus": documents(tmp_path, ["a", "b"])}}, tmp_path, Resolver()), tmp_path / "out")
    assert sorted((tmp_path / "out" / "train-00000-of-00001.jsonl").read_text().split()) == ['{"text":"a"}', '{"text":"b"}']


def test_tokenized_rows_end_with_the_end_of_document(tmp_path):
    exported = export(
        tmp_path / "out", documents(tmp_path, ["ab", "é", ""]), layout="tokenized", tokenizer="bytes", shuffle=False
    )
    table = pq.read_table(exported.path / "train-00000-of-00001.parquet")
    assert table["input_ids"].to_pylist() == [[97, 98, 256], [195, 169, 256], [256]]
    assert str(table.schema.field("input_ids").type.value_type) == "int32"
    card = exported.card()
    assert (card["tokens"], card["bytes"], card["vocabulary"]) == (7, 4, 257)
    assert card["eod"] == 256
    assert card["tokenizer"] == {"name": "bytes", "digest": "bytes", "file": "tokenizer.json"}
    assert card["files"] == [
        {"name": "train-00000-of-00001.parquet", "split": "train", "documents": 3, "bytes": 4, "tokens": 7}
    ]
    assert ExportManifest.read(exported.path).files[0].tokens == 7


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_chats_and_pairs_have_the_columns_of_trl(tmp_path):
    messages = [[message("user", "hi"), message("assistant", f"hello {n}")] for n in range(10)]
    pl.DataFrame({"id": list("abcdefghij"), "messages": messages}, schema_overrides={"messages": MESSAGES}).write_parquet(
        tmp_path / "c"
    )
    chats = export(tmp_path / "chats", Chats((Part(tmp_path / "c"),)), layout="trl", shuffle=False, validation=0.2)
    train = pq.read_table(chats.path / "train-00000-of-00001.parquet")
    held_out = pq.read_table(chats.path / "validation-00000-of-00001.parquet")
    assert (train.num_rows + held_out.num_rows, train.column_names) == (10, ["messages"])
    assert all(row in messages for row in train["messages"].to_pylist())
    assert chats.card()["bytes"] == 10 * len("hihello 0")
    pair = {
        "prompt": [[message("user", "2+2")]],
        "chosen": [[message("assistant", "4")]],
        "rejected": [[message("assistant", "5")]],
    }
    pl.DataFrame({"id": ["p"], **pair}).write_parquet(tmp_path / "p")
    pairs = export(tmp_path / "pairs", Pairs((Part(tmp_path / "p"),)), layout="jsonl")
    assert json.loads((pairs.path / "train-00000-of-00001.jsonl").read_text()) == {
        name: value[0] for name, value in pair.items()
    }


def test_further_columns_are_null_in_parts_that_lack_them(tmp_path):
    exported = export(
        tmp_path / "out", documents(tmp_path, ["a", "b", "c"]), layout="jsonl", columns=["id", "own.start"], shuffle=False
    )
    rows = [json.loads(line) for line in (exported.path / "train-00000-of-00001.jsonl").read_text().splitlines()]
    assert rows == [
        {"text": "a", "id": "id0", "own.start": None},
        {"text": "b", "id": "id1", "own.start": 1},
        {"text": "c", "id": "id2", "own.start": 2},
    ]


def test_invalid_exports_are_reported(tmp_path):
    def places(**options):
        return [diagnostic.place for diagnostic in Export(**{"from": "x"}, **options).check()]

    assert places(layout="tokenized") == ["tokenizer"]
    assert places(layout="jsonl", tokenizer="bytes") == ["tokenizer"]
    assert places(layout="parquet-text", validation=0) == ["validation"]
    with pytest.raises(RunError, match="requires Documents, but the input is Chats"):
        export(tmp_path / "chats", Chats(()), layout="parquet-text")
    with pytest.raises(RunError, match="too few"):
        export(tmp_path / "one", documents(tmp_path, ["a"]), layout="parquet-text")
    with pytest.raises(RunError) as caught:
        export(tmp_path / "columns", documents(tmp_path, ["a"]), layout="jsonl", columns=["quality.score"])
    assert "own.start" not in caught.value.hint
    assert caught.value.place == "columns"


def test_a_derived_kind_of_table_is_exported_by_its_content(tmp_path):
    class Reviews(Chats):
        """A plugin's kind of chats."""

        name = "Reviews"

    rows = {"id": ["a"], "messages": [[message("user", "hi"), message("assistant", None)]]}
    pl.DataFrame(rows, schema_overrides={"messages": MESSAGES}).write_parquet(tmp_path / "r")
    exported = export(tmp_path / "out", Reviews((Part(tmp_path / "r"),)), layout="jsonl")
    assert exported.card()["bytes"] == 2
    [line] = (exported.path / "train-00000-of-00001.jsonl").read_text().splitlines()
    assert json.loads(line) == {"messages": rows["messages"][0]}


@pytest.mark.parametrize(("rows", "processes"), [(5000, 8), (100, 8), (40, 3), (3, 8)])
def test_every_process_of_a_trainer_has_a_row_group_of_every_file(tmp_path, rows, processes):
    table = documents(tmp_path, [str(n) for n in range(rows)])
    exported = export(tmp_path / "out", table, layout="parquet-text", rows_per_file=1500, processes=processes)
    for file in exported.path.glob("*.parquet"):
        metadata = pq.ParquetFile(file).metadata
        assert metadata.num_row_groups >= min(processes, metadata.num_rows)
        assert rows < 2 * processes or metadata.num_rows >= processes


@pytest.mark.parametrize("layout", ["parquet-text", "jsonl", "tokenized"])
def test_datasets_reads_the_splits(tmp_path, layout):
    datasets = pytest.importorskip("datasets")
    options = {"tokenizer": "bytes"} if layout == "tokenized" else {}
    table = documents(tmp_path, [str(n) for n in range(300)])
    exported = export(tmp_path / "out", table, layout=layout, validation=0.1, rows_per_file=150, **options)
    loaded = datasets.load_dataset(str(exported.path), cache_dir=str(tmp_path / "cache"))
    card = exported.card()
    held_out = card["validation_documents"]
    assert {name: len(split) for name, split in loaded.items()} == {"train": 300 - held_out, "validation": held_out}


def test_exports_and_shards_hold_out_the_same_documents(tmp_path):
    table = documents(tmp_path, [f"Text {n}" for n in range(400)])
    exported = export(tmp_path / "out", table, layout="jsonl", validation=0.1, seed=3)
    (tmp_path / "shards").mkdir()
    stage = Pack(**{"from": "corpus"}, tokenizer="bytes", validation_share=0.1, seed=3)
    stage.pack(StageInputs({"from": {"corpus": table}}, tmp_path, Resolver()), tmp_path / "shards")
    lines = (exported.path / "validation-00000-of-00001.jsonl").read_text().splitlines()
    file = TokenFile(tmp_path / "shards" / "valid")
    texts = sorted(bytes(file.read(document)[:-1].astype("uint8")).decode() for document in range(len(file)))
    assert sorted(json.loads(line)["text"] for line in lines) == texts


def test_tokenized_exports_bring_their_tokenizer(tmp_path):
    transformers = pytest.importorskip("transformers")
    exported = export(tmp_path / "out", documents(tmp_path, ["ab"]), layout="tokenized", tokenizer="bytes")
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported.path)
    [ids] = pq.read_table(exported.path / "train-00000-of-00001.parquet")["input_ids"].to_pylist()
    assert (tokenizer.decode(ids), tokenizer.eos_token_id, tokenizer.pad_token_id) == ("ab<|endoftext|>", 256, 256)
