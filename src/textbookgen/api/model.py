"""Model: what a checkpoint can be asked, to complete and to score text; TokenModel: the same by token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from textbookgen.api.message import Message


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


@dataclass(frozen=True)
class Continuation:
    """Tokens that a model went on with.

    `ended`: by itself, or with a stop text, rather than at the most tokens that were allowed. Where it ended by itself,
    `ids` hold the token that says so. `text` is what a reader sees: without that token, and cut before the stop text.
    """

    ids: tuple[int, ...]
    text: str
    ended: bool


@runtime_checkable
class TokenModel(Model, Protocol):
    """A model that can also be asked by token ids, so that nothing that was sampled is ever tokenised again.

    A trainer need not bring it; what needs it says so. Ids are those of the checkpoint's own tokenizer; the token that
    the model was taught to begin documents with, if any, is put before them by the model and never named.
    """

    def encode(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Each text as ids; each conversation up to where the assistant's next words begin, by the checkpoint's own chat
        template (without one, as the texts of its messages with blank lines between).

        Where the assistant has the last word, it is gone on with.
        """
        ...

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Each row of ids as a reader sees it: without control tokens, and without what ends an answer."""
        ...

    def extend(
        self,
        prefixes: Sequence[Sequence[int]],
        *,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int],
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        samples: int = 1,
    ) -> list[list[Continuation]]:
        """For each row of ids, `samples` continuations drawn with the seed of its own: what stands beside a row changes
        nothing of what comes of it. Temperature 0 is greedy; `max_tokens` is one bound for all, or one for each row."""
        ...

    def logprobs(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[list[float]]:
        """The natural-log probability of each id of the second row, after the first row and those before it."""
        ...
