"""Samples as batches: the run's samples as one dataset in order, and what puts several of them together."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from textbookgen import TrainerError
from textbookgen_transformers.samples import Sample, Source

Batch = dict[str, Tensor]


class InOrder(Dataset[Sample]):
    """The samples of a whole run, first to last: what is shown at a step follows from its number alone."""

    def __init__(self, source: Source, samples: int, vocabulary: int) -> None:
        self._source, self._samples, self._vocabulary = source, samples, vocabulary

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < self._samples:
            raise IndexError(number)
        sample = self._source[number]
        highest = max(int(ids.max(initial=0)) for name, ids in sample.items() if name.endswith("_ids") or name == "labels")
        if highest >= self._vocabulary:
            raise TrainerError(
                f"the data has a token {highest}, and the model only {self._vocabulary}",
                place="shards",
                hint="the token files are damaged or of another vocabulary: pack them again",
            )
        return sample


def stacked(samples: list[Sample]) -> Batch:
    """Samples of one length as a batch."""
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


class Pairs:
    """Pairs as TRL's DPOTrainer takes them: chosen replies in the first half of the batch, rejected in the second."""

    def __init__(self, padding: int) -> None:
        self._padding = padding

    def __call__(self, samples: list[Sample]) -> Batch:
        """Pads to the longest; what is behind a text changes nothing in it."""
        rows = [(sample[f"{which}_ids"], sample[f"{which}_mask"]) for which in ("chosen", "rejected") for sample in samples]
        longest = max(len(ids) for ids, _ in rows)
        return {
            "input_ids": _padded([ids for ids, _ in rows], longest, self._padding),
            "attention_mask": _padded([np.ones_like(ids) for ids, _ in rows], longest, 0),
            "completion_mask": _padded([mask for _, mask in rows], longest, 0),
            **{name: _numbers(samples, name) for name in ("ref_chosen_logps", "ref_rejected_logps")},
        }


def _padded(rows: list[Any], length: int, value: int) -> Tensor:
    whole = np.full((len(rows), length), value, np.int64)
    for place, row in zip(whole, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(whole)


def _numbers(samples: list[Sample], name: str) -> Tensor:
    return torch.tensor([float(sample[name]) for sample in samples])
