"""Arithmetic of mixtures: from weights to tokens and epochs per source, and warnings about too many epochs.

A source's tokens are its share of the total; its epochs are these divided by its unique tokens (phi-4, arXiv 2412.08905,
table 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

#: Epochs above which repetition is worth a warning. Human-written text: up to four epochs are almost as good as new text
#: (Muennighoff et al. 2023, arXiv 2305.16264). Synthetic text: phi-4 repeated its own 13.8 times.
MAX_EPOCHS, MAX_SYNTHETIC_EPOCHS = 4.0, 16.0


class Phase(BaseModel):
    """A phase of training with its own weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, description="tokens of this phase, relative to the other phases")
    weights: dict[str, float] = Field(min_length=1, description="tokens of each stage in this phase, relative to each other")


@dataclass(frozen=True)
class Portion:
    """The part of a mixture that comes from one source.

    Attributes:
        source: the label of the stage.
        share: its share of the mixture's tokens, 0 to 1.
        tokens: its tokens in the mixture, repetitions included.
        unique: the tokens of the source itself.
    """

    source: str
    share: float
    tokens: float
    unique: float

    @property
    def epochs(self) -> float:
        """How many times the source is repeated; infinite if it is empty."""
        return self.tokens / self.unique if self.unique else float("inf")


def normalize(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights scaled to a sum of 1.

    Raises:
        ValueError: a weight is negative, or all are 0.
    """
    total = sum(weights.values())
    if min(weights.values(), default=0) < 0 or total <= 0:
        raise ValueError("no weight may be negative, and at least one must be positive")
    return {source: weight / total for source, weight in weights.items()}


def overall_shares(phases: Sequence[Phase]) -> dict[str, float]:
    """Return each source's share of the tokens of all phases."""
    lengths = normalize({str(index): phase.share for index, phase in enumerate(phases)})
    shares: dict[str, float] = {}
    for index, phase in enumerate(phases):
        for source, share in normalize(phase.weights).items():
            shares[source] = shares.get(source, 0.0) + lengths[str(index)] * share
    return shares


def make_portions(weights: Mapping[str, float], unique: Mapping[str, float], total: float) -> list[Portion]:
    """Return the portion of each source in a mixture.

    Args:
        weights: the weight of each source.
        unique: the tokens of each source.
        total: the tokens of the mixture.
    """
    return [Portion(source, share, share * total, unique[source]) for source, share in normalize(weights).items()]


def max_tokens_without_repetition(weights: Mapping[str, float], unique: Mapping[str, float]) -> float:
    """Return the size of the largest mixture, in tokens, that repeats no source."""
    return min(unique[source] / share for source, share in normalize(weights).items() if share)


def repetition_warnings(
    portions: Iterable[Portion], synthetic: Iterable[str] = (), max_epochs: Mapping[str, float] | None = None
) -> Iterator[str]:
    """Yield a sentence for each source that is repeated more often than is considered safe.

    Args:
        portions: the mixture.
        synthetic: sources that a teacher wrote, which may be repeated more often.
        max_epochs: the recipe's own limits by source.
    """
    generated, limits = set(synthetic), max_epochs or {}
    for portion in portions:
        default = MAX_SYNTHETIC_EPOCHS if portion.source in generated else MAX_EPOCHS
        limit = limits.get(portion.source, default)
        if portion.epochs > limit * (1 + 1e-9):
            kind = "synthetic" if portion.source in generated else "human-written"
            reason = f"more than {limit:g} epochs of {kind} text may hurt" if limit == default else f"`max_epochs` is {limit:g}"
            yield f"'{portion.source}' is repeated {portion.epochs:.1f} times; {reason}"


def describe(portions: Sequence[Portion]) -> str:
    """Return the mixture in one line."""
    return "; ".join(
        f"{portion.source} {portion.share:.1%}, {portion.tokens:,.0f} tokens, {portion.epochs:.2f} epochs"
        for portion in portions
    )
