"""Model: what a checkpoint can be asked, to complete and to score text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Score:
    """How likely a text is: the sum of natural-log probabilities of its tokens, and how many tokens that was."""

    logprob: float
    tokens: int
    greedy: bool  # whether every token was the likeliest


class Model(Protocol):
    """A trained model, ready for use; it works in a process of its trainer's own until it is closed."""

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
    ) -> list[list[str]]:
        """For each prompt, `samples` completions (without the prompt), each cut before the first `stop` text.

        Temperature 0 is greedy. The same arguments give the same completions.
        """
        ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """How likely each second text is after the first (which may be empty)."""
        ...

    def close(self) -> None:
        """Ends its process."""
        ...
