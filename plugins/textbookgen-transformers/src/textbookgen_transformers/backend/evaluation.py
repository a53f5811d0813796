"""What a model makes of held-out data: bits per byte of documents, or the loss and rewards of pairs."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from textbookgen.training.shards import PackedShards
from textbookgen_transformers.backend.batches import Batch, stacked
from textbookgen_transformers.samples import IGNORED, WholeDocuments


@dataclass(frozen=True)
class HeldOut:
    """Loss and bits a byte, further figures by name; None if nothing was held out."""

    loss: float | None = None
    bits_per_byte: float | None = None
    each: dict[str, float] = field(default_factory=dict)


def summed_nats(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the log probability of all labels together, in float32; those that are not learned count for nothing."""
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")


class Examiner:
    """Reads held-out documents, each alone and from its start; only what is learned counts, if shards have a loss mask.

    If there is more than `limit` tokens, the first are read, and bits per byte use the bytes per token of them all. Of
    several shards each has an even share of the limit, and counts by the bytes that were read of it.
    """

    def __init__(self, blend: dict[str, PackedShards], limit: int, at_once: int) -> None:
        self._at_once = at_once
        self._read = {
            label: (packed, WholeDocuments(packed, "valid", limit=max(1, limit // len(blend))))
            for label, packed in blend.items()
            if packed.counts("valid").loss_tokens
        }

    def examine(self, model: nn.Module, accelerator: Accelerator) -> HeldOut:
        """Measures; every process must call this, since they share the work."""
        nats, tokens, size, each = 0.0, 0.0, 0.0, {}
        for label, (packed, windows) in self._read.items():
            total, count = _sums(model, accelerator, windows, self._at_once)
            its_bytes = count * packed.counts("valid").bytes_per_token
            each[label] = total / math.log(2) / max(its_bytes, 1.0)
            nats, tokens, size = nats + total, tokens + count, size + its_bytes
        if not tokens:
            return HeldOut()
        return HeldOut(nats / tokens, nats / math.log(2) / size, each if len(each) > 1 else {})


def _sums(model: nn.Module, accelerator: Accelerator, windows: WholeDocuments, at_once: int) -> tuple[float, float]:
    """Nats and tokens of all windows, over all processes."""
    sums = torch.zeros(2, dtype=torch.float64)
    training = model.training
    model.eval()
    with torch.no_grad(), accelerator.autocast():
        for batch in _batches(windows, accelerator, at_once):
            shown = {name: value.to(accelerator.device) for name, value in batch.items()}
            labels = shown.pop("labels")
            nats = summed_nats(model(**shown, use_cache=False).logits, labels)
            sums += torch.tensor([float(nats), float((labels != IGNORED).sum())], dtype=torch.float64)
    model.train(training)
    whole: Any = accelerator.reduce(sums.to(accelerator.device), "sum")
    return float(whole[0]), float(whole[1])


def _batches(windows: WholeDocuments, accelerator: Accelerator, at_once: int) -> Iterator[Batch]:
    mine = range(accelerator.process_index, len(windows), accelerator.num_processes)
    for start in range(0, len(mine), at_once):
        yield stacked([windows.window(index) for index in mine[start : start + at_once]])
