"""Evaluation on held-out documents: loss and bits per byte."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from textbookgen.training.evaluation import HeldOut
from textbookgen.training.shards import PackedShards
from textbookgen_transformers.backend.samples import IGNORED, Batch, DocumentSamples, stack


def summed_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the negative log probability of all labels in nats, a float32 scalar; ignored labels do not count.

    Args:
        logits: `[batch, seq, vocabulary]`.
        labels: int64 `[batch, seq]`, each predicted by the logits of the same place.
    """
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")


class TextEvaluator:
    """Evaluates held-out documents, each read alone and from its start; the loss mask of the shards applies.

    Args:
        blend: the shards by label.
        limit: maximum number of tokens read, divided evenly over the shards; bits per byte use the bytes per token of all.
        micro_batch_size: windows in a forward pass of a process.
    """

    def __init__(self, blend: dict[str, PackedShards], limit: int, micro_batch_size: int) -> None:
        self._blend, self._micro_batch_size = blend, micro_batch_size
        self._windows = {
            label: DocumentSamples(shards, "valid", limit=max(1, limit // len(blend)))
            for label, shards in blend.items()
            if shards.counts("valid").loss_tokens
        }

    def evaluate(self, model: nn.Module, accelerator: Accelerator) -> HeldOut:
        """Return the metrics; every process must call this, since they share the work."""
        sums = {label: self._sum(model, accelerator, windows) for label, windows in self._windows.items()}
        return HeldOut.from_sums(sums, self._blend)

    def _sum(self, model: nn.Module, accelerator: Accelerator, windows: DocumentSamples) -> tuple[float, float]:
        """Return nats and tokens over all windows and processes."""
        sums = torch.zeros(2, dtype=torch.float64)
        training = model.training
        model.eval()
        with torch.no_grad(), accelerator.autocast():
            for batch in self._batches(windows, accelerator):
                inputs = {name: value.to(accelerator.device) for name, value in batch.items()}
                labels = inputs.pop("labels")
                nats = summed_nll(model(**inputs, use_cache=False).logits, labels)
                sums += torch.tensor([float(nats), float((labels != IGNORED).sum())], dtype=torch.float64)
        model.train(training)
        total: Any = accelerator.reduce(sums.to(accelerator.device), "sum")
        return float(total[0]), float(total[1])

    def _batches(self, windows: DocumentSamples, accelerator: Accelerator) -> Iterator[Batch]:
        share = range(accelerator.process_index, len(windows), accelerator.num_processes)
        for start in range(0, len(share), self._micro_batch_size):
            yield stack([windows.window(index) for index in share[start : start + self._micro_batch_size]])
