from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from textbookgen.api.errors import RunError, TrainerError
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.shards import PackedShards

from .conftest import documents, pack, stories


def read(folder: Path, split: str) -> list[list[int]]:
    import textbookgen_megatron.backend  # noqa: F401  (which keeps Megatron-core from warning)
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    return [document.tolist() for document in IndexedDataset(str(folder / split))]


def held_out(folder: Path) -> set[str]:
    return {ByteTokenizer().decode(ids) for ids in read(folder, "valid")}


def test_every_document_comes_back_once(tmp_path):
    texts = stories(200)
    folder = pack(tmp_path, documents(tmp_path, texts), validation_share=0.2)
    train, valid = read(folder, "train"), read(folder, "valid")
    assert all(ids[-1] == 256 for ids in train + valid)
    assert sorted(ByteTokenizer().decode(ids) for ids in train + valid) == sorted(texts)
    assert 20 < len(valid) < 60


def test_the_manifest_counts_what_is_there(tmp_path):
    folder = pack(tmp_path, documents(tmp_path, [*stories(50), "", "naïve é"]), validation_share=0.3)
    shards = PackedShards.read(folder)
    for split in ("train", "valid"):
        ids = read(folder, split)
        counts = shards.counts(split)
        assert counts.documents == len(ids)
        assert counts.tokens == counts.loss_tokens == sum(map(len, ids))
        assert counts.bytes == counts.tokens - counts.documents  # a byte is a token here, and each document has one eod
    assert shards.card["empty"] == 1
    assert shards.card["dtype"] == "uint16" == np.dtype(np.uint16).name
    assert (shards.vocabulary, shards.card["padded_vocabulary"], shards.eod) == (257, 384, 256)


def test_more_documents_move_none_between_train_and_valid(tmp_path):
    texts = [f"story {i}" for i in range(300)]
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    few = held_out(pack(tmp_path / "few", documents(tmp_path / "few", texts[:200]), validation_share=0.2))
    many = held_out(pack(tmp_path / "many", documents(tmp_path / "many", texts), validation_share=0.2))
    assert few == {text for text in many if int(text.split()[1]) < 200}


def test_packing_again_writes_the_same_bytes(tmp_path):
    table = documents(tmp_path, stories(60))
    first = {path.name: path.read_bytes() for path in pack(tmp_path, table).iterdir()}
    assert {path.name: path.read_bytes() for path in pack(tmp_path, table).iterdir()} == first


def test_what_comes_before_the_end_of_the_prompt_is_not_learned(tmp_path):
    table = documents(tmp_path, ["ask: answer", "all of it"], **{"books.prompt": ["ask: ", None]})
    folder = pack(tmp_path, table, prompt="books.prompt", validation_share=0)
    assert read(folder, "train.mask") == [[0] * 5 + [1] * 7, [1] * 10]
    counts = PackedShards.read(folder).counts("train")
    assert (counts.loss_tokens, counts.loss_bytes, counts.bytes) == (17, 15, 20)


def test_a_tokenizer_file_travels_with_the_shards(tmp_path):
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
def test_prompts_that_cannot_be_are_told(tmp_path, columns, options, problem):
    with pytest.raises(RunError, match=problem) as error:
        pack(tmp_path, documents(tmp_path, ["ab", "cd"], **columns), **options)
    assert error.value.place == "prompt"
    assert not (tmp_path / "shards" / "manifest.json").exists()


def test_nothing_to_pack_is_told(tmp_path):
    with pytest.raises(RunError, match="nothing to train on"):
        pack(tmp_path, documents(tmp_path, ["", ""]))


def test_trainers_refuse_shards_that_are_not_whole(tmp_path):
    with pytest.raises(TrainerError, match=r"no manifest\.json"):
        PackedShards.read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "parquet"}')
    with pytest.raises(TrainerError, match="'parquet'"):
        PackedShards.read(tmp_path)


@pytest.mark.parametrize("vocabulary", [300, 70_000])
def test_files_have_parity_with_megatrons_own_builder(tmp_path, vocabulary, monkeypatch):
    """Documents of several lengths, one of them without a token, written in batches and with a small chunk."""
    import textbookgen_megatron.backend  # noqa: F401
    from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder

    from textbookgen.builtin.stages.pack import writing
    from textbookgen.builtin.stages.pack.stage import dtype_of

    monkeypatch.setattr(writing, "CHUNK", 7)
    draw = np.random.default_rng(0)
    lengths = [5, 1, 0, 9, *draw.integers(1, 40, 50).tolist()]
    ids = draw.integers(0, vocabulary, sum(lengths))
    theirs = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=DType.optimal_dtype(vocabulary))
    for document in np.split(ids, np.cumsum(lengths)[:-1]):
        theirs.add_document(document, [len(document)])
    theirs.finalize(str(tmp_path / "theirs.idx"))
    ours = writing.TokenFile(tmp_path / "ours", dtype_of(vocabulary))
    half = sum(lengths[:20])
    ours.add(ids[:half], np.array(lengths[:20]))
    ours.add(ids[half:], np.array(lengths[20:]))
    ours.close()
    for kind in ("bin", "idx"):
        assert (tmp_path / f"ours.{kind}").read_bytes() == (tmp_path / f"theirs.{kind}").read_bytes()
    assert not (tmp_path / "ours.lengths").exists()
