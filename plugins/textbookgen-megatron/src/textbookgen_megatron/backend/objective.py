"""What a step makes smaller: nats a token, or a loss of preferences; each as Megatron-core's forward step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from textbookgen_megatron.backend.data import Sample
from textbookgen_megatron.backend.preferences import PreferenceLoss

#: Sum of the loss, in how many units, and sums of further figures; all over one micro-batch.
Reported = dict[str, Tensor]


class Objective(Protocol):
    """A loss that is a mean over units (tokens, pairs), so that it can be summed over parts of a batch."""

    #: Rows of the model's batch that one sample takes.
    rows: int
    #: What else is reported, a mean over the same units.
    figures: tuple[str, ...]

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, Any]:
        """Megatron's forward step: the model's output, and the function from it to (sum, units, what is reported)."""
        ...


def nats(model: torch.nn.Module, shown: Sample) -> Tensor:
    """Minus the log probability of each label, `[b, s]`; before the last stage of a pipeline, hidden states."""
    tokens = shown["tokens"]
    positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
    return model(tokens, positions, shown.get("attention_mask"), labels=shown["labels"])  # type: ignore[no-any-return]


class NextToken:
    """Nats a learned token: pretraining and finetuning alike."""

    rows = 1
    figures: tuple[str, ...] = ()

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, Any]:
        """The loss of each token, and the function that sums it."""
        shown = next(batches)
        return nats(model, shown), partial(_summed, shown["loss_mask"])


def _summed(mask: Tensor, losses: Tensor) -> tuple[Tensor, Tensor, Reported]:
    """Sum and count; Megatron divides the one by the other over all micro-batches and processes."""
    total, count = (losses.float() * mask).sum(), mask.sum()
    return total, count.int(), {"sums": torch.stack([total.detach(), count])}


class Preference:
    """A loss of direct preference optimisation (arXiv 2305.18290 and others), a mean over pairs."""

    rows = 2
    figures: tuple[str, ...] = (
        "reward_chosen",
        "reward_rejected",
        "reward_margin",
        "reward_accuracy",
        "logp_chosen",
        "logp_rejected",
    )

    def __init__(self, loss: PreferenceLoss) -> None:
        self._loss = loss

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, Any]:
        """The loss of each token of chosen and rejected, `[2 b, s]`, and the function from them to the loss of the pairs."""
        shown = next(batches)
        flat = {name: value.flatten(0, 1) for name, value in shown.items() if name != "reference"}
        return nats(model, flat), partial(self._of_pairs, flat["loss_mask"], shown["reference"])

    def _of_pairs(self, mask: Tensor, reference: Tensor, losses: Tensor) -> tuple[Tensor, Tensor, Reported]:
        logps = -(losses.float() * mask).sum(-1).view(-1, 2)
        lengths = mask.sum(-1).view(-1, 2)
        item = self._loss.of(logps[:, 0], logps[:, 1], reference[:, 0], reference[:, 1], lengths[:, 0], lengths[:, 1])
        chosen, rejected = (self._loss.beta * (logps - reference)).detach().unbind(-1)
        pairs = torch.tensor(float(item.numel()), device=item.device)
        figures = [chosen, rejected, chosen - rejected, (chosen > rejected).float(), logps[:, 0], logps[:, 1]]
        sums = torch.stack([item.detach().sum(), pairs, *(figure.detach().sum() for figure in figures)])
        return item.sum(), pairs.int(), {"sums": sums}
