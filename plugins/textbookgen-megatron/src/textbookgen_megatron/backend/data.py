"""Training samples as tensors: windows of a token stream, windows of whole documents, and preference pairs.

Every source is indexed by sample number and gives the same sample for the same number, so a run can be divided over any number
of processes and resumed after any step.
"""

# Megatron-core ships no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from megatron.core.datasets.blended_megatron_dataset_builder import BlendedMegatronDatasetBuilder
from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
from torch import Tensor

from textbookgen.training.packing import DocumentWindows, PackedReply, PreferencePairs, SampleSource
from textbookgen.training.shards import PackedShards, Split
from textbookgen_megatron.backend.device import device

#: `tokens` and `labels` int64 and `loss_mask` float32, each `[seq]`; where a window holds several documents, int64 `positions`
#: `[seq]` that start at 0 in each, and `attention_mask` bool `[1, seq, seq]`, since they must not attend to each other; for
#: pairs, all with a leading dimension of 2, and `reference` float32 `[2]`.
Sample = dict[str, Tensor]
Source = SampleSource[Sample]


class _TokenizerFacts:
    """What GPTDataset asks of a tokenizer. Nothing is padded, so no id may pass for padding."""

    pad = -1

    def __init__(self, shards: PackedShards) -> None:
        self.vocab_size = shards.vocabulary
        self.eod = shards.eod
        self.unique_identifiers = {"digest": shards.tokenizer.digest}
        self.special_tokens_dict: dict[str, Any] = {}


class TokenStreamSamples:
    """Windows of all documents concatenated, reshuffled each epoch as for phi-1, by Megatron's GPTDataset.

    Args:
        shards: packed documents; several are blended sample by sample.
        samples: number of samples in the run.
        seed: seed of the order.
        cache: folder for GPTDataset's index files.
        length: tokens in a window; as packed unless given.
        weights: weight of each of the shards; in proportion to their tokens unless given.
    """

    def __init__(
        self,
        shards: Sequence[PackedShards],
        samples: int,
        seed: int,
        cache: Path,
        *,
        length: int | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._length = length or shards[0].sequence_length
        blend = [
            (item.prefix("train"), share) for item, share in zip(shards, _shares(shards, weights), strict=True) if share > 0
        ]
        config = GPTDatasetConfig(
            random_seed=seed,
            sequence_length=self._length,
            blend=([prefix for prefix, _ in blend], [share for _, share in blend] if len(blend) > 1 else None),
            split="1,0,0",
            path_to_cache=str(cache),
            tokenizer=_TokenizerFacts(shards[0]),
            reset_position_ids=False,
            reset_attention_mask=False,
            eod_mask_loss=False,
            create_attention_mask=False,
        )
        self._windows = BlendedMegatronDatasetBuilder(GPTDataset, [samples, 0, 0], lambda: True, config).build()[0]

    def __getitem__(self, number: int) -> Sample:
        window = self._windows[number]
        return {name: window[name] for name in ("tokens", "labels", "loss_mask")}

    def tokens(self, start: int, stop: int) -> int:
        """Return the tokens in these samples: a stream has no empty places."""
        return (stop - start) * self._length


def _shares(shards: Sequence[PackedShards], weights: Sequence[float] | None) -> list[float]:
    weights = weights or [float(item.counts("train").tokens) for item in shards]
    return [weight / sum(weights) for weight in weights]


class DocumentSamples:
    """Windows of whole documents that do not attend to each other; `textbookgen.training.packing` fills and orders them."""

    def __init__(
        self, shards: PackedShards, split: Split, seed: int = 0, limit: int | None = None, length: int | None = None
    ) -> None:
        self._windows = DocumentWindows(shards, split, seed, limit, length)

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
        return {
            "tokens": torch.from_numpy(window.inputs),
            "labels": torch.from_numpy(window.targets),
            "loss_mask": torch.from_numpy(window.loss_mask.astype(np.float32)),
            "positions": torch.from_numpy(window.positions),
            "attention_mask": _masked_out(torch.from_numpy(window.documents)),
        }


def _masked_out(documents: Tensor) -> Tensor:
    """Return a bool mask `[1, seq, seq]`, True where a token must not attend: to later tokens and to other documents."""
    same = documents[:, None] == documents[None, :]
    return ~same.tril()[None]


class PairSamples:
    """Preference pairs, chosen reply first, padded to the sequence length; `textbookgen.training.packing` orders them."""

    def __init__(self, shards: PackedShards, split: Split, seed: int = 0) -> None:
        self.pairs = PreferencePairs(shards, split, seed)
        self._length, self._eod = shards.sequence_length, shards.eod

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
        rows = [self._row(pair.chosen), self._row(pair.rejected)]
        sample = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return {**sample, "reference": torch.from_numpy(pair.reference)}

    def _row(self, reply: PackedReply) -> Sample:
        size = len(reply.ids)
        tokens = np.full(self._length, self._eod, np.int64)
        labels = np.zeros(self._length, np.int64)
        mask = np.zeros(self._length, np.float32)
        tokens[1:size] = reply.ids[:-1]  # read from an eod, as every document is
        labels[:size] = reply.ids
        mask[:size] = reply.loss_mask
        return {"tokens": torch.from_numpy(tokens), "labels": torch.from_numpy(labels), "loss_mask": torch.from_numpy(mask)}


def collate(samples: Sequence[Sample]) -> Sample:
    """Return samples as one batch on this process's device, with a leading dimension of `len(samples)`."""
    return {name: torch.stack([sample[name] for sample in samples]).to(device(), non_blocking=True) for name in samples[0]}
