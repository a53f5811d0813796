"""Bits per byte of held-out documents: how well a model predicts text, whatever its tokenizer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from textbookgen_megatron.backend.data import WholeDocuments, batch
from textbookgen_megatron.backend.device import add_up, data_rank
from textbookgen_megatron.backend.step import Learner, nats
from textbookgen_megatron.shards import PackedShards


@dataclass(frozen=True)
class HeldOut:
    """Nats a token and bits a byte; both None if nothing was held out."""

    loss: float | None
    bits_per_byte: float | None


class Examiner:
    """Reads held-out documents, each alone and from its start; only what is learned counts, if shards have a loss mask.

    If there is more than `limit` tokens, the first are read, and bits per byte use the bytes per token of them all.
    """

    def __init__(self, shards: PackedShards, limit: int, at_once: int) -> None:
        self._counts, self._at_once = shards.counts("valid"), at_once
        self._windows = WholeDocuments(shards, "valid", limit=limit) if self._counts.loss_tokens else None

    @torch.no_grad()
    def examine(self, learner: Learner) -> HeldOut:
        """Measures; every process must call this, since they share the work."""
        if self._windows is None:
            return HeldOut(None, None)
        rank, ranks = data_rank()
        mine = list(range(rank, len(self._windows), ranks))
        sums = [0.0, 0.0]
        learner.model.eval()
        for start in range(0, len(mine), self._at_once):
            shown = batch([self._windows.window(index) for index in mine[start : start + self._at_once]])
            losses, mask = nats(learner.model, shown).double(), shown["loss_mask"].double()
            sums = [sums[0] + float((losses * mask).sum()), sums[1] + float(mask.sum())]
        learner.model.train()
        total, tokens = add_up(sums)
        loss = total / max(tokens, 1.0)
        return HeldOut(loss, loss / math.log(2) / self._counts.bytes_per_token)
