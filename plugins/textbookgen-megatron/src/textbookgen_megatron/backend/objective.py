"""Training objectives, each as a forward step of Megatron-core: next-token prediction and preference losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from textbookgen_megatron.backend.data import Sample
from textbookgen_megatron.backend.preference_loss import PreferenceLoss

#: Result of a loss function over one micro-batch: the summed loss (scalar), the number of units (scalar int32), and under
#: "sums" a float32 vector of the summed loss, the number of units, and the sums of the objective's metrics.
LossSums = tuple[Tensor, Tensor, dict[str, Tensor]]
#: From the output of the model to its loss.
LossFunction = Callable[[Tensor], LossSums]


class Objective(Protocol):
    """A loss that is a mean over units (tokens or pairs), so that it can be summed over micro-batches and processes."""

    #: Rows of the model's batch that one sample takes.
    rows: int
    #: Names of further metrics, means over the same units.
    metrics: tuple[str, ...]

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, LossFunction]:
        """Run the model on the next batch; return its output and the loss function (Megatron-core's `forward_step_func`)."""
        ...


def token_nll(model: torch.nn.Module, sample: Sample) -> Tensor:
    """Return the negative log probability of each label in nats, `[batch, seq]` float.

    Before the last pipeline stage, the result is the stage's hidden states instead.
    """
    tokens = sample["tokens"]
    positions = sample.get("positions")  # only learned positions are looked up; rotary ones depend on distances alone
    if positions is None:
        positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
    return model(tokens, positions, sample.get("attention_mask"), labels=sample["labels"])  # type: ignore[no-any-return]


class NextTokenObjective:
    """Cross entropy in nats per token of the loss mask, for pretraining and finetuning."""

    rows = 1
    metrics: tuple[str, ...] = ()

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, LossFunction]:
        """Return the loss of each token, `[batch, seq]`, and the function that sums it."""
        sample = next(batches)
        return token_nll(model, sample), partial(_masked_sum, sample["loss_mask"])


def _masked_sum(mask: Tensor, losses: Tensor) -> LossSums:
    """Sum the losses over the mask; Megatron-core divides by the token count over all micro-batches and processes."""
    total, count = (losses.float() * mask).sum(), mask.sum()
    return total, count.int(), {"sums": torch.stack([total.detach(), count])}


class PreferenceObjective:
    """A loss of direct preference optimization (arXiv 2305.18290 and others), a mean over pairs."""

    rows = 2
    metrics: tuple[str, ...] = (
        "reward_chosen",
        "reward_rejected",
        "reward_margin",
        "reward_accuracy",
        "logp_chosen",
        "logp_rejected",
    )

    def __init__(self, loss: PreferenceLoss) -> None:
        self._loss = loss

    def forward(self, batches: Iterator[Sample], model: torch.nn.Module) -> tuple[Tensor, LossFunction]:
        """Return the loss of each token, `[2 * pairs, seq]` (chosen and rejected alternate), and the loss over pairs."""
        sample = next(batches)
        flat = {name: value.flatten(0, 1) for name, value in sample.items() if name != "reference"}
        return token_nll(model, flat), partial(self._pair_loss, flat["loss_mask"], sample["reference"])

    def _pair_loss(self, mask: Tensor, reference: Tensor, losses: Tensor) -> LossSums:
        """Compute the loss from a mask and token losses `[2 * pairs, seq]` and reference log probabilities `[pairs, 2]`."""
        logps = -(losses.float() * mask).sum(-1).view(-1, 2)
        lengths = mask.sum(-1).view(-1, 2)
        pair_losses = self._loss(logps, reference, lengths)
        chosen, rejected = (self._loss.beta * (logps - reference)).detach().unbind(-1)
        pairs = torch.tensor(float(pair_losses.numel()), device=pair_losses.device)
        metrics = [chosen, rejected, chosen - rejected, (chosen > rejected).float(), logps[:, 0], logps[:, 1]]
        sums = torch.stack([pair_losses.detach().sum(), pairs, *(metric.detach().sum() for metric in metrics)])
        return pair_losses.sum(), pairs.int(), {"sums": sums}
