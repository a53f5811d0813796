"""The stage `pack`: what it writes, and that trainers and Megatron-core read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed import documents, pack, pairs, stories

from textbookgen.api.artifacts import Chats, Part
from textbookgen.api.errors import RunError, TrainerError
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.builtin.stages.pack import indexed_writer
from textbookgen.builtin.stages.pack.stage import Pack, dtype_of
from textbookgen.training.shards import PackedShards, TokenFile


def read(folder: Path, split: str) -> list[list[int]]:
    file = TokenFile(folder / split)
    return [file.read(document).tolist() for document in range(len(file))]


def held_out(folder: Path) -> set[str]:
    return {ByteTokenizer().decode(ids) for ids in read(folder, "valid")}


def test_every_document_is_written_once(tmp_path):
    texts = stories(200)
    folder = pack(tmp_path, documents(tmp_path, texts), validation_share=0.2)
    train, valid = read(folder, "train"), read(folder, "valid")
    assert all(ids[-1] == 256 for ids in train + valid)
    assert sorted(ByteTokenizer().decode(ids) for ids in train + valid) == sorted(texts)
    assert 20 < len(valid) < 60


def test_the_manifest_counts_documents_tokens_and_bytes(tmp_path):
    folder = pack(tmp_path, documents(tmp_path, [*stories(50), "", "naïve é"]), validation_share=0.3)
    shards = PackedShards.read(folder)
    for split in ("train", "valid"):
        ids = read(folder, split)
        counts = shards.counts(split)
        assert counts.documents == len(ids)
        assert counts.tokens == counts.loss_tokens == sum(map(len, ids))
        assert counts.bytes == counts.tokens - counts.documents  # a byte is a token here, and each document has one eod
    assert shards.manifest.left_out == {"without text": 1}
    assert shards.manifest.dtype == "uint16" == np.dtype(np.uint16).name
    assert (shards.vocabulary, shards.manifest.padded_vocabulary, shards.eod) == (257, 384, 256)


def test_adding_documents_moves_none_between_train_and_valid(tmp_path):
    texts = [f"story {i}" for i in range(300)]
    few = held_out(pack(tmp_path / "few", documents(tmp_path / "few", texts[:200]), validation_share=0.2))
    many = held_out(pack(tmp_path / "many", documents(tmp_path / "many", texts), validation_share=0.2))
    assert few == {text for text in many if int(text.split()[1]) < 200}


def test_another_seed_holds_out_other_documents(tmp_path):
    texts = [f"story {number}" for number in range(100)]
    table = documents(tmp_path, texts)
    splits = [held_out(pack(tmp_path, table, validation_share=0.2, seed=seed)) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    # a change here would mix the training and held-out data of corpora that were packed before
    assert sorted(int(text.split()[1]) for text in splits[0])[:5] == [9, 11, 16, 20, 24]


def test_packing_again_writes_the_same_bytes(tmp_path):
    table = documents(tmp_path, stories(60))
    first = {path.name: path.read_bytes() for path in pack(tmp_path, table).iterdir()}
    assert {path.name: path.read_bytes() for path in pack(tmp_path, table).iterdir()} == first


def test_the_loss_mask_excludes_prompts(tmp_path):
    table = documents(tmp_path, ["ask: answer", "all of it"], **{"books.prompt": ["ask: ", None]})
    folder = pack(tmp_path, table, prompt="books.prompt", validation_share=0)
    assert read(folder, "train.mask") == [[0] * 5 + [1] * 7, [1] * 10]
    counts = PackedShards.read(folder).counts("train")
    assert (counts.loss_tokens, counts.loss_bytes, counts.bytes) == (17, 15, 20)


def test_the_tokenizer_file_is_copied_to_the_shards(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(stories(50), vocab_size=300, special_tokens=["<|endoftext|>"])
    file = tmp_path / "mine.json"
    trained.save(str(file))

    class Bpe:
        name, vocabulary, eod, digest = "hf:mine.json", trained.get_vocab_size(), 0, "abc"

        def __init__(self) -> None:
            self.file = file

        def encode_batch(self, texts):
            return [each.ids for each in trained.encode_batch(list(texts))]

    class Resolver:
        def tokenizer(self, name):
            return Bpe()

    folder = pack(tmp_path, documents(tmp_path, stories(30)), resolver=Resolver(), tokenizer="hf:mine.json", validation_share=0)
    assert (folder / "tokenizer.json").read_bytes() == file.read_bytes()
    assert json.loads((folder / "manifest.json").read_text())["tokenizer"]["digest"] == "abc"
    assert [trained.decode(ids) for ids in read(folder, "train")] == stories(30)


@pytest.mark.parametrize(
    ("columns", "options", "problem"),
    [
        ({"p.prompt": ["x", "x"]}, {"prompt": "p.prompt"}, "does not begin with its prompt"),
        ({}, {"prompt": "p.prompt"}, "no document has a column"),
    ],
)
def test_unusable_prompts_are_reported(tmp_path, columns, options, problem):
    with pytest.raises(RunError, match=problem) as error:
        pack(tmp_path, documents(tmp_path, ["ab", "cd"], **columns), **options)
    assert error.value.place == "prompt"
    assert not (tmp_path / "shards" / "manifest.json").exists()


def test_packing_without_text_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no training data"):
        pack(tmp_path, documents(tmp_path, ["", ""]))


def test_incomplete_shards_are_rejected(tmp_path):
    with pytest.raises(TrainerError, match=r"no manifest\.json"):
        PackedShards.read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "parquet"}')
    with pytest.raises(TrainerError, match="unsupported format 'parquet'"):
        PackedShards.read(tmp_path)


def test_truncated_token_files_are_reported(tmp_path):
    folder = pack(tmp_path, documents(tmp_path, stories(20)))
    shards = PackedShards.read(folder)
    shards.check_files()
    content = (folder / "train.bin").read_bytes()
    for damage in (content[:-2], content[:-1], b"", content + b"\x01\x00"):
        (folder / "train.bin").write_bytes(damage)
        with pytest.raises(TrainerError, match=r"incomplete or corrupt|cannot be read") as error:
            shards.check_files()
        assert error.value.hint


def test_pairs_longer_than_a_window_are_left_out_and_counted(tmp_path):
    rows = [("Hi", "yes", "no"), ("Hi", "yes " * 40, "no"), ("Hi", "yes", "no " * 40)]
    shards = PackedShards.read(pack(tmp_path, pairs(tmp_path, rows), validation_share=0))
    assert (shards.content, sum(shards.manifest.left_out.values()), shards.counts("train").documents) == ("Pairs", 2, 2)
    assert shards.chat is not None and shards.chat.name == "plain"


def test_chats_without_answers_are_counted_and_leave_no_shards(tmp_path):
    import polars as pl

    messages = [[{"role": "user", "content": "Hi"}], [{"role": "assistant", "content": "  "}]]
    frame = pl.DataFrame({"id": ["a", "b"], "messages": messages}, schema={"id": pl.String(), **Chats.content})
    frame.write_parquet(tmp_path / "chats.parquet")
    with pytest.raises(RunError, match="2 without an assistant message"):
        pack(tmp_path, Chats((Part(tmp_path / "chats.parquet"),)))
    assert not (tmp_path / "shards" / "manifest.json").exists()


def test_an_unknown_chat_template_is_reported_by_check():
    stage = Pack.model_validate({"from": "a", "tokenizer": "bytes", "chat_template": "llama"})
    assert [diagnostic.place for diagnostic in stage.check()] == ["chat_template"]


@given(st.lists(st.lists(st.integers(0, 65_499), max_size=9), max_size=20), st.integers(1, 5))
def test_token_files_read_back_as_they_were_written(tmp_path_factory, corpus, chunk):
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch, indexed_writer.ShardWriter(folder, "uint16", masked=True) as writer:
        patch.setattr(indexed_writer, "CHUNK", chunk)
        writer.add("train", corpus, [[number % 2 for number in ids] for ids in corpus])
        writer.add("valid", [[1]], [[1]])
    if any(corpus):
        assert read(folder, "train") == corpus
        assert read(folder, "train.mask") == [[number % 2 for number in ids] for ids in corpus]
    assert not list(folder.glob("*.lengths"))


@pytest.mark.parametrize("vocabulary", [300, 70_000])
def test_files_are_byte_identical_to_megatrons_own_builder(tmp_path, vocabulary, monkeypatch):
    """Documents of several lengths, one of them without a token, written in batches and with a small chunk."""
    pytest.importorskip("megatron.core")
    import textbookgen_megatron.backend  # noqa: F401  (which keeps Megatron-core from warning)
    from megatron.core.datasets.indexed_dataset import DType, IndexedDataset, IndexedDatasetBuilder

    monkeypatch.setattr(indexed_writer, "CHUNK", 7)
    draw = np.random.default_rng(0)
    lengths = [5, 1, 0, 9, *draw.integers(1, 40, 50).tolist()]
    ids = draw.integers(0, vocabulary, sum(lengths))
    theirs = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=DType.optimal_dtype(vocabulary))
    for document in np.split(ids, np.cumsum(lengths)[:-1]):
        theirs.add_document(document, [len(document)])
    theirs.finalize(str(tmp_path / "theirs.idx"))
    ours = indexed_writer.TokenFileWriter(tmp_path / "ours", dtype_of(vocabulary))
    half = sum(lengths[:20])
    ours.add(ids[:half], np.array(lengths[:20]))
    ours.add(ids[half:], np.array(lengths[20:]))
    ours.close()
    for kind in ("bin", "idx"):
        assert (tmp_path / f"ours.{kind}").read_bytes() == (tmp_path / f"theirs.{kind}").read_bytes()
    assert not (tmp_path / "ours.lengths").exists()
    mine, other = TokenFile(tmp_path / "theirs"), IndexedDataset(str(tmp_path / "theirs"))
    for document in range(len(mine)):
        assert np.array_equal(mine.read(document), other.get(document))
        assert np.array_equal(
            mine.read(document, 2, 5), other.get(document, offset=2, length=max(0, min(3, lengths[document] - 2)))
        )
