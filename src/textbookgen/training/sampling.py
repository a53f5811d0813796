"""Sampling parameters, and the choice of the next token from logits.

The functions use methods of the array only, so that this module needs no array library: they take torch tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SamplingParams:
    """How to complete a prompt; with temperature 0 decoding is greedy.

    Attributes:
        max_tokens: maximum number of tokens in a completion.
        temperature: what logits are divided by before sampling.
        stop: texts that end a completion; they are not part of it.
        samples: completions per prompt.
        seed: seed of the random numbers.
        document_start: whether a prompt follows the end-of-document token, as in training; otherwise only what the tokenizer
            itself puts before a text.
    """

    max_tokens: int
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    samples: int = 1
    seed: int = 0
    document_start: bool = True

    @classmethod
    def from_request(cls, request: dict[str, Any]) -> SamplingParams:
        """Return the `sampling` part of a request to a model server."""
        return cls(**{**request["sampling"], "stop": tuple(request["sampling"]["stop"])})


def choose_tokens(logits: Any, uniforms: Sequence[float], temperature: float) -> list[int]:
    """Choose the next token of each row by inverse transform sampling in float64.

    Args:
        logits: torch tensor `[rows, vocabulary]` of any float dtype, on any device.
        uniforms: a random number in [0, 1) for each row; empty for greedy decoding.
        temperature: positive, unless decoding is greedy.
    """
    if not uniforms:
        return [int(token) for token in logits.argmax(-1).tolist()]
    cumulative = (logits.double() / temperature).softmax(-1).cumsum(-1)
    thresholds = cumulative.new_tensor(uniforms)[:, None] * cumulative[:, -1:]
    tokens = (cumulative <= thresholds).sum(-1).clamp_max(cumulative.shape[-1] - 1)
    return [int(token) for token in tokens.tolist()]


def score_targets(logits: Any, targets: Any) -> tuple[list[float], bool]:
    """Score given tokens under a model.

    Args:
        logits: torch tensor `[tokens, vocabulary]`, each row predicting the target of the same index.
        targets: torch tensor `[tokens]` of ids.

    Returns:
        The natural-log probability of each target, in float64, and whether greedy decoding would have chosen all of them.
    """
    logprobs = logits.double().log_softmax(-1)
    of_targets = logprobs.gather(-1, targets[:, None])[:, 0]
    return of_targets.tolist(), bool((logprobs.argmax(-1) == targets).all())
