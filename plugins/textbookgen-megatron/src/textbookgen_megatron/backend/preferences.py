"""Losses of preferences by TRL's names: functions of log probabilities under the policy and under the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from textbookgen.training.options import LossType


@dataclass(frozen=True)
class Ratios:
    """What a loss is made of, each `[pairs]`: log ratios of policy to reference, and summed log probabilities."""

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    policy_chosen: Tensor
    policy_rejected: Tensor

    @property
    def margin(self) -> Tensor:
        """How much more the policy prefers the chosen reply than the reference does."""
        return self.chosen - self.rejected


@dataclass(frozen=True)
class PreferenceLoss:
    """A loss, or several with their weights, and what sets them."""

    kinds: Mapping[LossType, float]
    beta: float
    smoothing: float = 0.0

    def of(
        self,
        chosen: Tensor,
        rejected: Tensor,
        reference_chosen: Tensor,
        reference_rejected: Tensor,
        chosen_tokens: Tensor,
        rejected_tokens: Tensor,
    ) -> Tensor:
        """The loss of each pair, from the summed log probabilities of its replies; all `[pairs]`."""
        ratios = Ratios(
            chosen - reference_chosen, rejected - reference_rejected, chosen_tokens, rejected_tokens, chosen, rejected
        )
        item = [weight * _LOSSES[kind](ratios, self.beta, self.smoothing) for kind, weight in self.kinds.items()]
        return torch.stack(item).sum(0)


def _sigmoid(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Rafailov et al., arXiv 2305.18290; smoothed as in cDPO (E. Mitchell, 2023)."""
    return _smoothed(beta * r.margin, smoothing)


def _smoothed(z: Tensor, smoothing: float) -> Tensor:
    return -(1 - smoothing) * functional.logsigmoid(z) - smoothing * functional.logsigmoid(-z)


def _robust(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Unbiased where a share `smoothing` of the pairs is the wrong way round: Chowdhury et al., arXiv 2403.00409."""
    z = beta * r.margin
    kept = (1 - smoothing) * functional.logsigmoid(z) - smoothing * functional.logsigmoid(-z)
    return -kept / (1 - 2 * smoothing)


def _hinge(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """SLiC's margin: Zhao et al., arXiv 2305.10425."""
    return functional.relu(1 - beta * r.margin)


def _ipo(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Azar et al., arXiv 2310.12036, on mean log ratios a token."""
    means = r.chosen / r.chosen_tokens.clamp_min(1) - r.rejected / r.rejected_tokens.clamp_min(1)
    return (means - 1 / (2 * beta)) ** 2


def _exo_pair(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Ji et al., arXiv 2402.00856, equation 16: the reverse divergence from a smoothed preference."""
    smooth = torch.tensor(smoothing or 1e-3)
    z = beta * r.margin
    towards = z.sigmoid() * (functional.logsigmoid(z) - torch.log(1 - smooth))
    return towards + (-z).sigmoid() * (functional.logsigmoid(-z) - torch.log(smooth))


def _nca_pair(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Chen et al., arXiv 2402.05369: each reply against noise of its own."""
    chosen, rejected = beta * r.chosen, beta * r.rejected
    against = functional.logsigmoid(-chosen) + functional.logsigmoid(-rejected)
    return -functional.logsigmoid(chosen) - 0.5 * against


def _sppo_hard(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Wu et al., arXiv 2405.00675, with preferences that are certain."""
    return (r.chosen - 0.5 / beta) ** 2 + (r.rejected + 0.5 / beta) ** 2


def _apo_zero(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """D'Oosterlinck et al., arXiv 2408.06266: chosen replies are better than what the model says now."""
    return 1 - (beta * r.chosen).sigmoid() + (beta * r.rejected).sigmoid()


def _apo_down(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """D'Oosterlinck et al., arXiv 2408.06266: chosen replies are worse than what the model says now."""
    return (beta * r.chosen).sigmoid() + 1 - (beta * r.margin).sigmoid()


def _discopop(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Lu et al., arXiv 2406.08414: logistic and exponential loss, mixed by a gate of temperature 0.05."""
    z = beta * r.margin
    gate = (z / 0.05).sigmoid()
    return -functional.logsigmoid(z) * (1 - gate) + torch.exp(-z) * gate


def _bco_pair(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Jung et al., arXiv 2404.04656, for pairs and without the running shift, as TRL has it."""
    return -functional.logsigmoid(beta * r.chosen) - functional.logsigmoid(-beta * r.rejected)


def _sigmoid_norm(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """The logistic loss on mean log ratios a token, so that length counts for nothing (arXiv 2411.15124)."""
    means = r.chosen / r.chosen_tokens.clamp_min(1) - r.rejected / r.rejected_tokens.clamp_min(1)
    return -functional.logsigmoid(beta * means)


def _aot(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """Melnyk et al., arXiv 2406.05882: margins of policy and reference, each in order; within what is worked at once."""
    ours = (r.policy_chosen - r.policy_rejected).sort().values
    theirs = (r.policy_chosen - r.chosen - r.policy_rejected + r.rejected).sort().values
    return _smoothed(beta * (ours - theirs), smoothing)


def _aot_unpaired(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """The same for log ratios of chosen and rejected, each in order."""
    return _smoothed(beta * (r.chosen.sort().values - r.rejected.sort().values), smoothing)


def _sft(r: Ratios, beta: float, smoothing: float) -> Tensor:
    """What finetuning on the chosen replies would be: nats a token of all pairs that are worked at once, the same for each."""
    return (-r.policy_chosen.sum() / r.chosen_tokens.sum().clamp_min(1)).expand_as(r.policy_chosen)


_LOSSES: dict[LossType, Callable[[Ratios, float, float], Tensor]] = {
    "sigmoid": _sigmoid,
    "robust": _robust,
    "hinge": _hinge,
    "ipo": _ipo,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "sppo_hard": _sppo_hard,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "discopop": _discopop,
    "bco_pair": _bco_pair,
    "sigmoid_norm": _sigmoid_norm,
    "aot": _aot,
    "aot_unpaired": _aot_unpaired,
    "sft": _sft,
}
