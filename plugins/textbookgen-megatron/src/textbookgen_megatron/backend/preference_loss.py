"""Preference losses under their TRL names, as functions of log probabilities under the policy and the reference model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from textbookgen.training.options import LossType


@dataclass(frozen=True)
class LogRatios:
    """Inputs of a loss, each a float tensor `[pairs]`.

    `chosen` and `rejected` are log ratios of policy to reference, the others the number of learned tokens of each reply and
    its summed log probability under the policy, in nats.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor
    policy_chosen: Tensor
    policy_rejected: Tensor

    @property
    def margin(self) -> Tensor:
        """By how much the policy prefers the chosen reply more than the reference does, in nats."""
        return self.chosen - self.rejected

    @property
    def margin_per_token(self) -> Tensor:
        """The difference of the mean log ratios per token."""
        return self.chosen / self.chosen_tokens.clamp_min(1) - self.rejected / self.rejected_tokens.clamp_min(1)


@dataclass(frozen=True)
class PreferenceLoss:
    """A weighted sum of losses, with the strength of the KL penalty `beta` and the label smoothing they share."""

    kinds: Mapping[LossType, float]
    beta: float
    smoothing: float = 0.0

    def __call__(self, policy: Tensor, reference: Tensor, lengths: Tensor) -> Tensor:
        """Return the loss of each pair.

        Args:
            policy: Summed log probabilities of the chosen and the rejected reply under the policy, `[pairs, 2]` float.
            reference: The same under the reference model, `[pairs, 2]` float.
            lengths: Number of learned tokens of each reply, `[pairs, 2]` float.

        Returns:
            The losses, `[pairs]` float.
        """
        ratios = LogRatios(*(policy - reference).unbind(-1), *lengths.unbind(-1), *policy.unbind(-1))
        losses = [weight * _LOSSES[kind](ratios, self.beta, self.smoothing) for kind, weight in self.kinds.items()]
        return torch.stack(losses).sum(0)


def _sigmoid(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Rafailov et al., arXiv 2305.18290; with label smoothing cDPO (E. Mitchell, 2023)."""
    return _smoothed_logistic(beta * r.margin, smoothing)


def _smoothed_logistic(z: Tensor, smoothing: float) -> Tensor:
    return -(1 - smoothing) * functional.logsigmoid(z) - smoothing * functional.logsigmoid(-z)


def _robust(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Chowdhury et al., arXiv 2403.00409: unbiased if a share `smoothing` of the labels is flipped."""
    z = beta * r.margin
    kept = (1 - smoothing) * functional.logsigmoid(z) - smoothing * functional.logsigmoid(-z)
    return -kept / (1 - 2 * smoothing)


def _hinge(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Zhao et al., arXiv 2305.10425: the margin loss of SLiC."""
    return functional.relu(1 - beta * r.margin)


def _ipo(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Azar et al., arXiv 2310.12036, on mean log ratios per token."""
    return (r.margin_per_token - 1 / (2 * beta)) ** 2


def _exo_pair(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Ji et al., arXiv 2402.00856, equation 16: reverse KL divergence from a smoothed preference."""
    epsilon = torch.tensor(smoothing or 1e-3)
    z = beta * r.margin
    kept = z.sigmoid() * (functional.logsigmoid(z) - torch.log(1 - epsilon))
    return kept + (-z).sigmoid() * (functional.logsigmoid(-z) - torch.log(epsilon))


def _nca_pair(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Chen et al., arXiv 2402.05369: noise contrastive alignment, each reply against its own noise."""
    chosen, rejected = beta * r.chosen, beta * r.rejected
    noise = functional.logsigmoid(-chosen) + functional.logsigmoid(-rejected)
    return -functional.logsigmoid(chosen) - 0.5 * noise


def _sppo_hard(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Wu et al., arXiv 2405.00675, with hard preference labels."""
    return (r.chosen - 0.5 / beta) ** 2 + (r.rejected + 0.5 / beta) ** 2


def _apo_zero(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """D'Oosterlinck et al., arXiv 2408.06266, for chosen replies that are better than those of the model."""
    return 1 - (beta * r.chosen).sigmoid() + (beta * r.rejected).sigmoid()


def _apo_down(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """D'Oosterlinck et al., arXiv 2408.06266, for chosen replies that are worse than those of the model."""
    return (beta * r.chosen).sigmoid() + 1 - (beta * r.margin).sigmoid()


def _discopop(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Lu et al., arXiv 2406.08414: logistic and exponential loss, blended by a sigmoid gate with temperature 0.05."""
    z = beta * r.margin
    gate = (z / 0.05).sigmoid()
    return -functional.logsigmoid(z) * (1 - gate) + torch.exp(-z) * gate


def _bco_pair(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Jung et al., arXiv 2404.04656, for pairs and without the running reward shift, as in TRL."""
    return -functional.logsigmoid(beta * r.chosen) - functional.logsigmoid(-beta * r.rejected)


def _sigmoid_norm(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Lambert et al., arXiv 2411.15124: length-normalized DPO, the logistic loss on mean log ratios per token."""
    return -functional.logsigmoid(beta * r.margin_per_token)


def _aot(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Melnyk et al., arXiv 2406.05882: sorted margins of policy and reference, within one micro-batch."""
    policy = (r.policy_chosen - r.policy_rejected).sort().values
    reference = (r.policy_chosen - r.chosen - r.policy_rejected + r.rejected).sort().values
    return _smoothed_logistic(beta * (policy - reference), smoothing)


def _aot_unpaired(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Melnyk et al., arXiv 2406.05882: sorted log ratios of chosen and rejected replies, within one micro-batch."""
    return _smoothed_logistic(beta * (r.chosen.sort().values - r.rejected.sort().values), smoothing)


def _sft(r: LogRatios, beta: float, smoothing: float) -> Tensor:
    """Cross entropy of the chosen replies: nats per token over the micro-batch, the same value for each pair."""
    return (-r.policy_chosen.sum() / r.chosen_tokens.sum().clamp_min(1)).expand_as(r.policy_chosen)


_LOSSES: dict[LossType, Callable[[LogRatios, float, float], Tensor]] = {
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
