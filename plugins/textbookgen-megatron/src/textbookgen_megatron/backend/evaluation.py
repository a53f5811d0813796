"""Bits per byte of held-out documents: how well a model predicts text, whatever its tokenizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from textbookgen.training.shards import PackedShards
from textbookgen_megatron.backend.data import ReplyPairs, WholeDocuments, batch
from textbookgen_megatron.backend.device import data_parallel_rank, data_parallel_size
from textbookgen_megatron.backend.train_state import TrainState


@dataclass(frozen=True)
class HeldOut:
    """Nats a token and bits a byte, and the latter by label where there are several; None if nothing was held out."""

    loss: float | None
    bits_per_byte: float | None
    each: dict[str, float] = field(default_factory=dict)


class Examiner:
    """Reads held-out documents, each alone and from its start; only what is learned counts, if shards have a loss mask.

    If there is more than `limit` tokens, the first are read, and bits per byte use the bytes per token of them all. Of
    several shards each has an even share of the limit, and counts by the bytes that were read of it.
    """

    def __init__(self, shards: dict[str, PackedShards], limit: int, at_once: int, length: int | None = None) -> None:
        self._at_once = at_once
        self._read: dict[str, tuple[PackedShards, WholeDocuments]] = {}
        for label, packed in shards.items():
            if packed.counts("valid").loss_tokens and packed.content != "Pairs":
                windows = WholeDocuments(packed, "valid", limit=max(1, limit // len(shards)), length=length)
                self._read[label] = (packed, windows)
        self._length = length

    def examine(self, train_state: TrainState) -> HeldOut:
        """Measures; every process must call this, since they share the work."""
        nats, tokens, bytes_, each = 0.0, 0.0, 0.0, {}
        for label, (packed, windows) in self._read.items():
            total, count = self._sums(train_state, packed, windows)
            size = count * packed.counts("valid").bytes_per_token
            each[label] = total / math.log(2) / max(size, 1.0)
            nats, tokens, bytes_ = nats + total, tokens + count, bytes_ + size
        if not tokens:
            return HeldOut(None, None)
        return HeldOut(nats / tokens, nats / math.log(2) / bytes_, each if len(each) > 1 else {})

    def _sums(self, train_state: TrainState, packed: PackedShards, windows: WholeDocuments) -> tuple[float, float]:
        """Nats and tokens; the processes of a pipeline read together, those that share the batch apart."""
        rank, ranks = data_parallel_rank(), data_parallel_size()
        mine = list(range(rank, len(windows), ranks))
        length = self._length or packed.sequence_length
        nats = tokens = 0.0
        for size, groups in _groups(mine, self._at_once):
            batches = (batch([windows.window(index) for index in group]) for group in groups)
            sums = train_state.evaluate(batches, len(groups), size, length)
            nats, tokens = nats + sums[0], tokens + sums[1]
        return nats, tokens


class PairExaminer:
    """Reads held-out pairs: the loss, and how often the chosen reply has the higher reward."""

    def __init__(self, shards: PackedShards, pairs: ReplyPairs | None, at_once: int) -> None:
        self._shards, self._pairs, self._at_once = shards, pairs, at_once

    def examine(self, train_state: TrainState) -> HeldOut:
        """Measures; every process must call this."""
        if self._pairs is None:
            return HeldOut(None, None)
        rank, ranks = data_parallel_rank(), data_parallel_size()
        sums = [0.0] * (2 + len(train_state.objective.metrics))
        for size, groups in _groups(list(range(rank, len(self._pairs), ranks)), self._at_once):
            batches = (batch([self._pairs.pair(index) for index in group]) for group in groups)
            more = train_state.evaluate(batches, len(groups), size, self._shards.sequence_length)
            sums = [mine + new for mine, new in zip(sums, more, strict=True)]
        means = [total / max(sums[1], 1.0) for total in sums]
        return HeldOut(means[0], None, dict(zip(train_state.objective.metrics, means[2:], strict=True)))


def _groups(mine: list[int], at_once: int) -> list[tuple[int, list[list[int]]]]:
    """Full groups, then the rest as one smaller group; always two, so that all processes measure as often."""
    whole = len(mine) - len(mine) % at_once
    full = [mine[start : start + at_once] for start in range(0, whole, at_once)]
    rest = mine[whole:]
    return [(at_once, full), (max(1, len(rest)), [rest] if rest else [])]
