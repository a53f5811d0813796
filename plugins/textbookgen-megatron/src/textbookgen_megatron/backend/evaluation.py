"""Evaluation on held-out data: bits per byte of documents, and loss and rewards of preference pairs."""

from __future__ import annotations

from collections.abc import Sequence

from textbookgen.training.evaluation import HeldOut
from textbookgen.training.shards import PackedShards
from textbookgen_megatron.backend.data import DocumentSamples, PairSamples, collate
from textbookgen_megatron.backend.device import data_parallel_rank, data_parallel_size
from textbookgen_megatron.backend.train_state import TrainState


class TextEvaluator:
    """Evaluates held-out documents, each read alone and from its start; the loss mask of the shards applies.

    Args:
        blend: the shards by label.
        limit: maximum number of tokens read, divided evenly over the shards; bits per byte use the bytes per token of all.
        micro_batch_size: windows in a forward pass of a process.
        length: tokens in a window.
    """

    def __init__(self, blend: dict[str, PackedShards], limit: int, micro_batch_size: int, length: int) -> None:
        self._blend, self._micro_batch_size, self._length = blend, micro_batch_size, length
        self._windows = {
            label: DocumentSamples(shards, "valid", limit=max(1, limit // len(blend)), length=length)
            for label, shards in blend.items()
            if shards.counts("valid").loss_tokens and shards.content != "Pairs"
        }

    def evaluate(self, train_state: TrainState) -> HeldOut:
        """Return the metrics; every process must call this, since they share the work."""
        sums = {label: self._sum(train_state, windows) for label, windows in self._windows.items()}
        return HeldOut.from_sums(sums, self._blend)

    def _sum(self, train_state: TrainState, windows: DocumentSamples) -> tuple[float, float]:
        """Return nats and tokens over all windows."""
        nats = tokens = 0.0
        for size, groups in _groups(_share_of(len(windows)), self._micro_batch_size):
            batches = (collate([windows.window(index) for index in group]) for group in groups)
            sums = train_state.evaluate(batches, len(groups), size, self._length)
            nats, tokens = nats + sums[0], tokens + sums[1]
        return nats, tokens


class PairEvaluator:
    """Evaluates held-out pairs: the loss, and the objective's metrics such as reward accuracy.

    Args:
        pairs: held-out pairs; None if there are none.
        micro_batch_size: pairs in a forward pass of a process.
        length: tokens in a sequence.
    """

    def __init__(self, pairs: PairSamples | None, micro_batch_size: int, length: int) -> None:
        self._pairs, self._micro_batch_size, self._length = pairs, micro_batch_size, length

    def evaluate(self, train_state: TrainState) -> HeldOut:
        """Return the metrics; every process must call this."""
        if self._pairs is None:
            return HeldOut()
        totals = [0.0] * (2 + len(train_state.objective.metrics))
        for size, groups in _groups(_share_of(len(self._pairs)), self._micro_batch_size):
            batches = (collate([self._pairs.pair(index) for index in group]) for group in groups)
            sums = train_state.evaluate(batches, len(groups), size, self._length)
            totals = [total + new for total, new in zip(totals, sums, strict=True)]
        means = [total / max(totals[1], 1.0) for total in totals]
        return HeldOut(means[0], None, dict(zip(train_state.objective.metrics, means[2:], strict=True)))


def _share_of(count: int) -> Sequence[int]:
    """Return the indexes that this process reads; the processes of a pipeline read the same ones."""
    return range(data_parallel_rank(), count, data_parallel_size())


def _groups(indexes: Sequence[int], size: int) -> list[tuple[int, list[Sequence[int]]]]:
    """Return full groups, then the rest as a smaller one; always two entries, so that all processes evaluate as often."""
    whole = len(indexes) - len(indexes) % size
    full = [indexes[start : start + size] for start in range(0, whole, size)]
    rest = indexes[whole:]
    return [(size, full), (max(1, len(rest)), [rest] if rest else [])]
