"""That shards are read as they are, and every sample is shown in its place."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
from textbookgen_megatron.backend.data import IndexedDataset
from textbookgen_transformers.job import whole_shards
from textbookgen_transformers.samples import Blend, Stream, WholeDocuments

from textbookgen.api.errors import TrainerError
from textbookgen.training.shards import PackedShards

from .conftest import documents, pack, stories


def test_documents_are_those_that_megatron_reads(shards):
    packed = PackedShards.read(shards)
    mine, theirs = packed.file("train"), IndexedDataset(str(shards / "train"))
    assert len(mine) == len(theirs)
    for document in range(len(mine)):
        assert np.array_equal(mine.read(document), theirs.get(document))
        assert np.array_equal(mine.read(document, 2, 5), theirs.get(document, offset=2, length=3))


def test_torn_files_are_told(shards, tmp_path):
    folder = pack(tmp_path, documents(tmp_path, stories(20)))
    whole = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(whole[:-2])
    with pytest.raises(TrainerError, match="are torn"):
        whole_shards(folder)
    (folder / "train.bin").unlink()
    with pytest.raises(TrainerError, match="cannot be read"):
        whole_shards(folder)


def test_an_epoch_of_the_stream_shows_every_token_once_but_the_rest(shards):
    packed = PackedShards.read(shards)
    stream, length = Stream(packed, 3), packed.sequence_length
    windows = (packed.counts("train").tokens - 1) // length
    shown = [stream[number] for number in range(windows)]
    for window in shown:
        assert np.array_equal(window["input_ids"][1:], window["labels"][:-1])
    once = collections.Counter(np.concatenate([window["labels"] for window in shown]).tolist())
    file = packed.file("train")
    there = collections.Counter(np.concatenate([file.read(document) for document in range(len(file))]).tolist())
    assert all(once[token] <= there[token] for token in once)
    assert sum(there.values()) - sum(once.values()) <= length
    second = [stream[windows + number]["labels"] for number in range(windows)]
    assert not all(np.array_equal(window["labels"], other) for window, other in zip(shown, second, strict=True))
    again = Stream(packed, 3)
    assert np.array_equal(again[windows + 2]["labels"], second[2])  # whoever asks, and in any order
    assert np.array_equal(again[1]["labels"], shown[1]["labels"])


def test_data_that_fills_no_window_is_repeated(tmp_path):
    folder = pack(tmp_path, documents(tmp_path, ["ab", "c"]), validation_share=0, sequence_length=16)
    window = Stream(PackedShards.read(folder), 0)[5]
    assert len(window["input_ids"]) == 16
    assert set(window["labels"].tolist()) == {*b"abc", 256}


def test_a_blend_keeps_its_proportions_and_shows_each_stream_in_order(shards, tmp_path):
    packed = PackedShards.read(shards)
    streams = [Stream(packed, seed) for seed in range(3)]
    blend = Blend(streams, [0.7, 0.3, 0.0], 5)
    had = [0, 0, 0]
    for number in range(2500):
        shown = blend[number]["labels"]
        mine = next(index for index in range(3) if np.array_equal(shown, streams[index][had[index]]["labels"]))
        had[mine] += 1
    assert had == pytest.approx([1750, 750, 0], abs=25)
    assert np.array_equal(Blend(streams, [0.7, 0.3, 0.0], 5)[2000]["labels"], blend[2000]["labels"])


def test_windows_of_whole_documents_hold_each_document_once(shards):
    packed = PackedShards.read(shards)
    source, file = WholeDocuments(packed, "train", 1), packed.file("train")
    found = collections.Counter()
    for index in range(len(source)):
        window = source.window(index)
        starts = [*np.flatnonzero(window["position_ids"] == 0).tolist(), len(window["labels"])]
        for start, stop in itertools.pairwise(starts):
            if window["labels"][start] >= 0:
                found[tuple(window["labels"][start:stop].tolist())] += 1
    length = packed.sequence_length
    texts = [file.read(document) for document in range(len(file))]
    pieces = [text[start : start + length] for text in texts for start in range(0, len(text), length)]
    assert found == collections.Counter(tuple(piece.tolist()) for piece in pieces)
    assert sorted(source.tokens(number, number + 1) for number in range(len(source))) == sorted(
        source.tokens(number, number + 1) for number in range(len(source), 2 * len(source))
    )
