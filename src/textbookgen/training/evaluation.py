"""The result of an evaluation on held-out data: loss, bits per byte and further metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textbookgen.training.shards import PackedShards


@dataclass(frozen=True)
class HeldOut:
    """Metrics on held-out data; empty if nothing was held out.

    Attributes:
        loss: nats per token of text, or the mean loss of pairs.
        bits_per_byte: of text, which compares models with different tokenizers; None for pairs.
        metrics: bits per byte of each of several shards by label, or further metrics of pairs by name.
    """

    loss: float | None = None
    bits_per_byte: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_sums(cls, sums: Mapping[str, tuple[float, float]], shards: Mapping[str, PackedShards]) -> HeldOut:
        """Combine what was measured on each of several shards, weighted by the bytes that were read.

        Args:
            sums: by label, the negative log probability in nats of all tokens read, and how many these were.
            shards: the shards by label, which know the bytes per token of their held-out split.
        """
        nats, tokens, size, metrics = 0.0, 0.0, 0.0, {}
        for label, (nats_of, tokens_of) in sums.items():
            size_of = tokens_of * shards[label].counts("valid").bytes_per_token
            metrics[label] = nats_of / math.log(2) / max(size_of, 1.0)
            nats, tokens, size = nats + nats_of, tokens + tokens_of, size + size_of
        if not tokens:
            return cls()
        return cls(nats / tokens, nats / math.log(2) / size, metrics if len(metrics) > 1 else {})

    @property
    def is_finite(self) -> bool:
        """Whether every metric is a finite number."""
        values = (self.loss, self.bits_per_byte, *self.metrics.values())
        return all(math.isfinite(value) for value in values if value is not None)

    def metrics_line(self) -> dict[str, Any]:
        """Return the metrics under their names in metrics.jsonl."""
        return {
            "validation_loss": self.loss,
            "validation_bits_per_byte": self.bits_per_byte,
            **{f"validation_{name}": value for name, value in self.metrics.items()},
        }
