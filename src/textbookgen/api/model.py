"""Model: a trained model that completes and scores text; TokenModel: one that also takes token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from textbookgen.api.message import Message


@dataclass(frozen=True)
class Score:
    """The likelihood of a text.

    Attributes:
        logprob: the sum of the natural-log probabilities of its tokens.
        tokens: the number of its tokens.
        greedy: whether every token was the most probable one.
    """

    logprob: float
    tokens: int
    greedy: bool


class Model(Protocol):
    """A trained model, loaded in a separate process until it is closed.

    A plugin provides one through the hook `open_model`; `textbookgen.training.model_client` and `model_server` implement the
    two ends. Every method is deterministic: the same arguments give the same results, whatever was called before.
    """

    def complete(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
        document_start: bool = True,
    ) -> list[list[str]]:
        """Complete each prompt.

        Args:
            prompts: the texts to continue.
            max_tokens: the maximum length of a completion in tokens.
            temperature: the sampling temperature; 0 is greedy.
            stop: texts that end a completion, which is cut before the first of them.
            samples: completions per prompt.
            seed: the seed of sampling.
            document_start: as in `score`.

        Returns:
            For each prompt its completions, without the prompt.

        Raises:
            TrainerError: the process failed or cannot load the model.
        """
        ...

    def score(self, pairs: Sequence[tuple[str, str]], *, document_start: bool = True) -> list[Score]:
        """Return how likely each second text is after the first one, which may be empty.

        The texts are tokenized together and then split, with white space between them in the second one, as
        lm-evaluation-harness does.

        Args:
            pairs: texts; if they do not fit into the context, the beginning of the first one is cut off.
            document_start: whether the first text begins a document, and so follows the end-of-document token as in training.
                Otherwise the model reads what other tools let it read: only what the tokenizer itself puts before a text,
                which for most is nothing.

        Raises:
            TrainerError: the process failed or cannot load the model.
        """
        ...

    def close(self) -> None:
        """End the process."""
        ...


@dataclass(frozen=True)
class Continuation:
    """A sampled continuation of token ids.

    Attributes:
        ids: the generated ids, including the end-of-document or end-of-turn id if the model generated it.
        text: the text for a reader: without control tokens, and cut before the stop text.
        ended: whether it ended with such an id or a stop text, rather than at `max_tokens`.
    """

    ids: tuple[int, ...]
    text: str
    ended: bool


@runtime_checkable
class TokenModel(Model, Protocol):
    """A model that also takes token ids, so that what was sampled need not be tokenized again.

    Optional for trainers; stages that need it say so. Ids are those of the checkpoint's tokenizer. If the model was trained to
    begin documents with a certain id, the model adds it and it never appears in arguments or results; `logprobs` can omit it.
    """

    def encode(self, prompts: Sequence[str | Sequence[Message]]) -> list[list[int]]:
        """Return the ids of texts and conversations.

        A conversation is rendered with the checkpoint's chat template up to where the assistant's next words begin; without a
        template, as the contents of its messages separated by blank lines. If the last message is the assistant's, it is left
        open to be continued.
        """
        ...

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """Return each row of ids as text, without control tokens and without the end of an answer."""
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
        """Continue rows of ids. The result of a row depends on that row and its seed only, not on the other rows.

        Args:
            prefixes: the ids to continue.
            max_tokens: the maximum number of new ids, for all rows or for each.
            seeds: the seed of each row.
            temperature: the sampling temperature; 0 is greedy.
            stop: texts that end a continuation.
            samples: continuations per row.

        Returns:
            For each row its continuations.
        """
        ...

    def logprobs(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], *, document_start: bool = True
    ) -> list[list[float]]:
        """Return the natural-log probability of each id of the second row, given the first row and the ids before it."""
        ...
