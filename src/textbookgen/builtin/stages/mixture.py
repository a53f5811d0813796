"""The arithmetic of mixtures: from weights to tokens and epochs of each source, and a word of warning where that is too often.

A source's tokens are its weight's share of the whole, its epochs are these by the unique tokens it has (phi-4, arXiv
2412.08905, table 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

#: Epochs beyond which repeating is worth a warning. Text that people wrote: four epochs are almost as good as new text
#: (Muennighoff et al. 2023, arXiv 2305.16264). Synthetic text: phi-4 repeated its own 13.8 times.
HARMLESS, HARMLESS_SYNTHETIC = 4.0, 16.0


class Phase(BaseModel):
    """A stretch of training with weights of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, description="share of all tokens that this phase has, against the other phases'")
    weights: dict[str, float] = Field(
        min_length=1, description="how many of its tokens come from each stage, against the others"
    )


@dataclass(frozen=True)
class Portion:
    """What of a mixture comes from one source: its share, its tokens, and how often each of its unique tokens is seen."""

    source: str
    share: float
    tokens: float
    unique: float

    @property
    def epochs(self) -> float:
        """How often the source is gone through."""
        return self.tokens / self.unique if self.unique else float("inf")


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights as shares of 1.

    Raises:
        ValueError: one is below 0, or all are 0.
    """
    total = sum(weights.values())
    if min(weights.values(), default=0) < 0 or total <= 0:
        raise ValueError("weights must not be below 0, and one must be above")
    return {source: weight / total for source, weight in weights.items()}


def overall(phases: Sequence[Phase]) -> dict[str, float]:
    """Each source's share over all phases."""
    lengths = shares({str(at): phase.share for at, phase in enumerate(phases)})
    result: dict[str, float] = {}
    for at, phase in enumerate(phases):
        for source, share in shares(phase.weights).items():
            result[source] = result.get(source, 0.0) + lengths[str(at)] * share
    return result


def portions(weights: Mapping[str, float], unique: Mapping[str, float], total: float) -> list[Portion]:
    """What comes from each source where `total` tokens are trained on; `unique` are the tokens that each source has."""
    return [Portion(source, share, share * total, unique[source]) for source, share in shares(weights).items()]


def most_without_repeating(weights: Mapping[str, float], unique: Mapping[str, float]) -> float:
    """The most tokens that a mixture can have without any source being gone through twice."""
    return min(unique[source] / share for source, share in shares(weights).items() if share)


def cautions(
    mixed: Iterable[Portion], synthetic: Iterable[str] = (), harmless: Mapping[str, float] | None = None
) -> Iterator[str]:
    """A sentence for each source that is repeated more often than is known to do no harm."""
    written, given = set(synthetic), harmless or {}
    for portion in mixed:
        usual = HARMLESS_SYNTHETIC if portion.source in written else HARMLESS
        most = given.get(portion.source, usual)
        if portion.epochs > most * (1 + 1e-9):
            kind = "synthetic text" if portion.source in written else "text that people wrote"
            known = f"{most:g} epochs of {kind} are known to do no harm" if most == usual else f"{most:g} were thought harmless"
            yield f"'{portion.source}' is repeated {portion.epochs:.1f} times; {known}"


def described(mixed: Sequence[Portion]) -> str:
    """The mixture in a line."""
    return "; ".join(
        f"{portion.source} {portion.share:.1%}, {portion.tokens:,.0f} tokens, {portion.epochs:.2f} epochs" for portion in mixed
    )
