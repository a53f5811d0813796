"""Training samples with the names that transformers and TRL use, and collating them into batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from textbookgen.training.packing import (
    BlendedStream,
    DocumentWindows,
    PackedReply,
    PreferencePairs,
    SampleSource,
    TokenStream,
    check_ids,
)
from textbookgen.training.shards import PackedShards, Split

#: The label of tokens that the loss does not cover, in transformers.
IGNORED = -100

Sample = dict[str, NDArray[Any]]
Source = SampleSource[Sample]
Batch = dict[str, Tensor]


class StreamSamples:
    """Windows of a token stream: int64 `input_ids` and `labels`, the next tokens, each `[sequence_length]`."""

    def __init__(self, stream: TokenStream | BlendedStream) -> None:
        self._stream = stream

    def __getitem__(self, number: int) -> Sample:
        ids = self._stream[number]
        return {"input_ids": ids[:-1], "labels": ids[1:]}

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens in these samples."""
        return self._stream.tokens(start, stop)


class DocumentSamples:
    """Windows of whole documents: int64 `input_ids`, `labels` and `position_ids`, each `[sequence_length]`.

    Positions restart with each document, which is how transformers knows where one ends (`masking_utils`); every empty place
    is a document by itself.
    """

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0, limit: int | None = None) -> None:
        self._windows = DocumentWindows(shards, split, seed, limit)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Sample:
        return self.window(self._windows.order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens of documents in these samples, without the empty places."""
        return self._windows.tokens(start, stop)

    def window(self, index: int) -> Sample:
        """Return the window of this index, in the order in which windows were filled."""
        window = self._windows.window(index)
        labels = np.where(window.loss_mask, window.targets, IGNORED)
        return {"input_ids": window.inputs, "labels": labels, "position_ids": window.positions}


class PairSamples:
    """Preference pairs as TRL names their parts; each conversation is read from an end-of-document token."""

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0) -> None:
        self.pairs = PreferencePairs(shards, split, seed)
        self._eod = shards.eod

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, number: int) -> Sample:
        return self.pair(self.pairs.order[number])

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens of both replies of these samples, each with its prompt."""
        return self.pairs.tokens(start, stop)

    def pair(self, index: int) -> Sample:
        """Return the pair of this index, in the order in which they were packed."""
        pair = self.pairs.pair(index)
        return {
            **self._reply("chosen", pair.chosen),
            **self._reply("rejected", pair.rejected),
            "ref_chosen_logps": pair.reference[0],
            "ref_rejected_logps": pair.reference[1],
        }

    def _reply(self, name: str, reply: PackedReply) -> Sample:
        mask = reply.loss_mask.astype(np.int64)
        return {f"{name}_ids": np.concatenate(([self._eod], reply.ids)), f"{name}_mask": np.concatenate(([0], mask))}


class OrderedDataset(Dataset[Sample]):
    """All samples of a run, in the order of training: what a step sees follows from its number alone."""

    def __init__(self, source: Source, samples: int, vocabulary: int) -> None:
        self._source, self._samples, self._vocabulary = source, samples, vocabulary

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < self._samples:
            raise IndexError(number)
        sample = self._source[number]
        for name, values in sample.items():
            if name.endswith("_ids") or name == "labels":
                check_ids(values, self._vocabulary)
        return sample


def stack(samples: Sequence[Sample]) -> Batch:
    """Return samples of one length as a batch, with a leading dimension of `len(samples)`."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


class PairCollator:
    """Collates pairs for TRL's DPOTrainer: chosen replies in the first half of the batch, rejected ones in the second."""

    def __init__(self, padding: int) -> None:
        self._padding = padding

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Pad to the longest reply, on the right, which causal attention ignores."""
        rows = [(sample[f"{name}_ids"], sample[f"{name}_mask"]) for name in ("chosen", "rejected") for sample in samples]
        longest = max(len(ids) for ids, _ in rows)
        return {
            "input_ids": _pad([ids for ids, _ in rows], longest, self._padding),
            "attention_mask": _pad([np.ones_like(ids) for ids, _ in rows], longest, 0),
            "completion_mask": _pad([mask for _, mask in rows], longest, 0),
            **{name: _scalars(samples, name) for name in ("ref_chosen_logps", "ref_rejected_logps")},
        }


def _pad(rows: Sequence[NDArray[np.int64]], length: int, value: int) -> Tensor:
    padded = np.full((len(rows), length), value, np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(padded)


def _scalars(samples: Sequence[Sample], name: str) -> Tensor:
    return torch.tensor([float(sample[name]) for sample in samples])
