"""Training samples from packed shards: token streams, blends, windows of whole documents, and preference pairs."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed import documents, pack, pairs, stories

from textbookgen.api.errors import TrainerError
from textbookgen.training.packing import (
    BlendedStream,
    DocumentWindows,
    EpochOrder,
    PreferencePairs,
    Span,
    TokenStream,
    check_ids,
    fill_windows,
    split_documents,
)
from textbookgen.training.shards import PackedShards


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> PackedShards:
    folder = tmp_path_factory.mktemp("shards")
    return PackedShards.read(pack(folder, documents(folder, stories(300)), validation_share=0.1))


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 12))
def test_windows_hold_every_token_once_and_are_never_overfull(lengths, window):
    windows = list(fill_windows(split_documents(lengths, window), window))
    spans = [span for each in windows for span in each]
    assert all(0 < sum(span.stop - span.start for span in each) <= window for each in windows)
    tokens = sorted((span.document, place) for span in spans for place in range(span.start, span.stop))
    assert tokens == [(document, place) for document, length in enumerate(lengths) for place in range(length)]


def test_windows_are_filled_first_fit():
    spans = [Span(number, 0, size) for number, size in enumerate((6, 5, 4, 5, 2))]
    assert [[span.document for span in window] for window in fill_windows(spans, 10)] == [[0, 2], [1, 3], [4]]


def test_a_limit_stops_after_the_document_that_reaches_it():
    assert [span.document for span in split_documents([3, 3, 3, 3], 10, limit=6)] == [0, 1]


def test_an_epoch_order_is_a_new_permutation_each_epoch_whoever_asks():
    order = EpochOrder(20, 3)
    epochs = [[order[epoch * 20 + place] for place in range(20)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(20))
    assert epochs[0] != epochs[1]
    assert [EpochOrder(20, 3)[number] for number in (39, 0, 20)] == [epochs[1][19], epochs[0][0], epochs[1][0]]
    assert [EpochOrder(20, 4)[number] for number in range(20)] != epochs[0]
    # the order of released recipes: a change here changes every finetuned model
    assert epochs[0] == np.random.default_rng([3, 0]).permutation(20).tolist()


def test_an_epoch_of_a_stream_shows_every_token_once_except_the_rest(shards):
    stream, length = TokenStream(shards, 3), shards.sequence_length
    windows = (shards.counts("train").tokens - 1) // length
    first = [stream[number] for number in range(windows)]
    assert all(len(ids) == length + 1 for ids in first)
    shown = collections.Counter(np.concatenate([ids[1:] for ids in first]).tolist())
    file = shards.file("train")
    packed = collections.Counter(np.concatenate([file.read(document) for document in range(len(file))]).tolist())
    assert all(shown[token] <= packed[token] for token in shown)
    assert sum(packed.values()) - sum(shown.values()) <= length
    second = [stream[windows + number] for number in range(windows)]
    assert not all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    again = TokenStream(shards, 3)
    assert np.array_equal(again[windows + 2], second[2])  # in any order
    assert np.array_equal(again[1], first[1])
    assert stream.tokens(3, 5) == 2 * length


def test_data_that_fills_no_window_is_repeated_within_an_epoch(tmp_path):
    packed = PackedShards.read(pack(tmp_path, documents(tmp_path, ["ab", "c"]), validation_share=0, sequence_length=16))
    ids = TokenStream(packed, 0)[5]
    assert len(ids) == 17
    assert set(ids.tolist()) == {*b"abc", 256}


def test_a_blend_keeps_its_proportions_and_shows_each_stream_in_order(shards):
    streams = [TokenStream(shards, seed) for seed in range(3)]
    blend = BlendedStream(streams, [0.7, 0.3, 0.0], 5)
    taken = [0, 0, 0]
    for number in range(2500):
        ids = blend[number]
        source = next(index for index in range(3) if np.array_equal(ids, streams[index][taken[index]]))
        taken[source] += 1
    assert taken == pytest.approx([1750, 750, 0], abs=25)
    assert np.array_equal(BlendedStream(streams, [0.7, 0.3, 0.0], 5)[2000], blend[2000])
    assert blend.tokens(0, 3) == 3 * shards.sequence_length


def test_windows_of_whole_documents_hold_each_document_once(shards):
    windows, file, length = DocumentWindows(shards, "train", 1), shards.file("train"), shards.sequence_length
    found = collections.Counter()
    for index in range(len(windows)):
        window = windows.window(index)
        starts = [*np.flatnonzero(window.positions == 0).tolist(), length]
        for start, stop in itertools.pairwise(starts):
            if window.loss_mask[start]:
                found[tuple(window.targets[start:stop].tolist())] += 1
    texts = [file.read(document) for document in range(len(file))]
    pieces = [text[start : start + length] for text in texts for start in range(0, len(text), length)]
    assert found == collections.Counter(tuple(piece.tolist()) for piece in pieces)
    epochs = [
        sorted(windows.tokens(number, number + 1) for number in range(first, first + len(windows)))
        for first in (0, len(windows))
    ]
    assert epochs[0] == epochs[1]
    assert sum(epochs[0]) == shards.counts("train").tokens


def test_a_window_is_read_from_an_eod_and_predicts_the_next_token(tmp_path):
    table = documents(tmp_path, ["abc", "defghijklmnopqrstuvwxyzABC"], **{"t.prompt": ["a", None]})
    packed = PackedShards.read(pack(tmp_path, table, prompt="t.prompt", validation_share=0, sequence_length=20))
    by_first = {}
    for window in map(DocumentWindows(packed, "train").window, range(2)):
        for document in {int(number) for number in window.documents if number >= 0}:
            place = np.flatnonzero(window.documents == document)
            by_first[int(window.targets[place[0]])] = (
                window.inputs[place].tolist(),
                window.targets[place].tolist(),
                window.loss_mask[place].tolist(),
                window.positions[place].tolist(),
            )
        empty = window.documents < 0
        assert len(set(window.documents[empty].tolist())) == empty.sum()  # each an own document
        assert set(window.inputs[empty].tolist()) <= {256} and not window.loss_mask[empty].any()
    assert by_first[ord("a")] == ([256, *b"abc"], [*b"abc", 256], [False, True, True, True], [0, 1, 2, 3])
    assert by_first[ord("d")] == (
        [256, *b"defghijklmnopqrstuv"],
        list(b"defghijklmnopqrstuvw"),
        [True] * 20,
        list(range(20)),
    )
    assert by_first[ord("x")] == ([*b"wxyzABC"], [*b"xyzABC", 256], [True] * 7, list(range(7)))  # continued from `w`


def test_pairs_are_read_chosen_first_with_the_loss_on_the_reply(tmp_path):
    rows = [(f"Q{number}?", f"yes {number}", "no") for number in range(8)]
    packed = PackedShards.read(pack(tmp_path, pairs(tmp_path, rows), validation_share=0))
    source = PreferencePairs(packed, "train", seed=1)
    assert len(source) == 8
    texts = []
    for index in range(8):
        pair = source.pair(index)
        for reply, end in ((pair.chosen, f"yes {index}"), (pair.rejected, "no")):
            said = bytes(token for token in reply.ids[reply.loss_mask].tolist() if token < 256).decode()
            assert said == end
        texts.append(bytes(token for token in pair.chosen.ids.tolist() if token < 256).decode())
    assert all(f"Q{index}?" in text for index, text in enumerate(texts))
    source.reference = np.arange(16, dtype=np.float32).reshape(8, 2)
    order = [source.order[number] for number in range(8)]
    assert sorted(order) == list(range(8))
    assert [source[number].reference.tolist() for number in range(8)] == [[2 * index, 2 * index + 1] for index in order]
    assert source.tokens(0, 8) == packed.counts("train").tokens


def test_documents_are_not_pairs(shards):
    with pytest.raises(TrainerError, match="hold Documents, not pairs"):
        PreferencePairs(shards, "train")


def test_ids_beyond_the_vocabulary_are_reported():
    check_ids(np.array([0, 99]), 100)
    check_ids(np.array([], np.int64), 100)
    with pytest.raises(TrainerError, match="token id 100"):
        check_ids(np.array([0, 100]), 100)
