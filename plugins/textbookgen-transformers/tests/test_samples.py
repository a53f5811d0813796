"""Samples with the names and labels that transformers and TRL expect."""

from __future__ import annotations

import numpy as np
import pytest
from textbookgen_transformers.backend.samples import (
    IGNORED,
    DocumentSamples,
    OrderedDataset,
    PairCollator,
    PairSamples,
    StreamSamples,
    stack,
)

from textbookgen.api.errors import TrainerError
from textbookgen.training.packing import TokenStream
from textbookgen.training.shards import PackedShards

from .conftest import documents, pack, pairs, stories


def test_labels_of_a_stream_are_the_next_tokens(shards):
    packed = PackedShards.read(shards)
    source = StreamSamples(TokenStream(packed, 0))
    sample = source[3]
    assert len(sample["input_ids"]) == len(sample["labels"]) == packed.sequence_length
    assert np.array_equal(sample["input_ids"][1:], sample["labels"][:-1])
    assert source.tokens(0, 2) == 2 * packed.sequence_length


def test_labels_outside_the_loss_mask_and_empty_places_are_ignored(tmp_path):
    table = documents(tmp_path, ["abc"], **{"t.prompt": ["a"]})
    packed = PackedShards.read(pack(tmp_path, table, prompt="t.prompt", validation_share=0, sequence_length=6))
    sample = DocumentSamples(packed, "train").window(0)
    assert sample["input_ids"].tolist() == [256, *b"abc", 256, 256]
    assert sample["labels"].tolist() == [IGNORED, *b"bc", 256, IGNORED, IGNORED]
    assert sample["position_ids"].tolist() == [0, 1, 2, 3, 0, 0]


def test_a_dataset_has_all_samples_of_a_run_and_checks_their_ids(shards):
    source = StreamSamples(TokenStream(PackedShards.read(shards), 0))
    dataset = OrderedDataset(source, 5, 257)
    assert len(dataset) == 5
    assert np.array_equal(dataset[4]["labels"], source[4]["labels"])
    for number in (-1, 5):
        with pytest.raises(IndexError):
            dataset[number]
    with pytest.raises(TrainerError, match="the model's vocabulary has 100 ids"):
        OrderedDataset(source, 5, 100)[0]


def test_batches_stack_windows_and_pad_pairs(tmp_path, shards):
    packed = PackedShards.read(shards)
    source = DocumentSamples(packed, "train")
    batch = stack([source[0], source[1]])
    assert {name: tuple(value.shape) for name, value in batch.items()} == dict.fromkeys(
        ("input_ids", "labels", "position_ids"), (2, packed.sequence_length)
    )
    rows = [("Q", "yes", "no"), ("Q", "yes yes", "n")]
    replies = PairSamples(PackedShards.read(pack(tmp_path, pairs(tmp_path, rows), validation_share=0)), "train")
    replies.pairs.reference = np.array([[1, 2], [3, 4]], np.float32)
    batch = PairCollator(padding=256)([replies.pair(0), replies.pair(1)])
    assert batch["ref_chosen_logps"].tolist() == [1, 3] and batch["ref_rejected_logps"].tolist() == [2, 4]
    said = [
        bytes(token for token in ids[mask > 0].tolist() if token < 256)
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    assert said == [b"yes", b"yes yes", b"no", b"n"]  # chosen replies first
    assert (batch["input_ids"][:, 0] == 256).all() and (batch["completion_mask"][:, 0] == 0).all()
    assert batch["attention_mask"].sum(-1).tolist() == [
        len(replies.pair(i)[f"{name}_ids"]) for name in ("chosen", "rejected") for i in (0, 1)
    ]


def test_documents_longer_than_a_window_are_continued_from_their_last_token(tmp_path):
    packed = PackedShards.read(pack(tmp_path, documents(tmp_path, stories(1)), validation_share=0, sequence_length=8))
    source = DocumentSamples(packed, "train")
    windows = [source.window(index) for index in range(len(source))]
    text = packed.file("train").read(0).tolist()
    assert [label for window in windows for label in window["labels"].tolist() if label != IGNORED] == text
    assert windows[1]["input_ids"][0] == windows[0]["labels"][-1]
