"""Chat models: checkpoints that reply to conversations in their chat template, by token ids or as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textbookgen.api.message import Message
from textbookgen.api.model import Model, TokenModel
from textbookgen.builtin.chat_prompts import read_chat_template, render_chat

Turns = Sequence[Message]
#: A reply, and whether it ended before the token limit; None if that is not known.
ChatReply = tuple[str, bool | None]


@dataclass(frozen=True)
class TokenChatModel:
    """A chat model that takes token ids, and so conversations in exactly its own chat template."""

    model: TokenModel

    def reply(
        self, conversations: Sequence[Turns], max_tokens: int, temperature: float, seed: int, samples: int = 1
    ) -> list[list[ChatReply]]:
        """Return the replies to each conversation, `samples` each."""
        seeds = [seed + number for number in range(len(conversations))]
        prompts = self.model.encode(conversations)
        replies = self.model.extend(prompts, max_tokens=max_tokens, temperature=temperature, seeds=seeds, samples=samples)
        return [[(reply.text, reply.ended) for reply in each] for each in replies]

    def score(self, conversations: Sequence[Turns], replies: Sequence[str]) -> list[tuple[float, int]]:
        """Return the natural-log probability of each reply and its number of tokens."""
        pairs = list(zip(self.model.encode(conversations), self.model.encode(replies), strict=True))
        return [(float(sum(logprobs)), len(logprobs)) for logprobs in self.model.logprobs(pairs)]


@dataclass(frozen=True)
class TextChatModel:
    """A chat model that takes text only; whether a reply ended by itself is unknown."""

    model: Model
    template: str | None

    def reply(
        self, conversations: Sequence[Turns], max_tokens: int, temperature: float, seed: int, samples: int = 1
    ) -> list[list[ChatReply]]:
        """Return the replies to each conversation, `samples` each."""
        prompts = [render_chat(turns, self.template) for turns in conversations]
        replies = self.model.complete(
            [prompt for prompt, _ in prompts],
            max_tokens=max_tokens,
            temperature=temperature,
            stop=sorted({ending for _, ending in prompts if ending}),
            samples=samples,
            seed=seed,
        )
        return [[(reply, None) for reply in each] for each in replies]

    def score(self, conversations: Sequence[Turns], replies: Sequence[str]) -> list[tuple[float, int]]:
        """Return the natural-log probability of each reply and its number of tokens."""
        prompts = [render_chat(turns, self.template)[0] for turns in conversations]
        return [(score.logprob, score.tokens) for score in self.model.score(list(zip(prompts, replies, strict=True)))]


def open_chat_model(model: Model, checkpoint: Path) -> TokenChatModel | TextChatModel:
    """Return a model of a checkpoint's folder as a chat model."""
    return TokenChatModel(model) if isinstance(model, TokenModel) else TextChatModel(model, read_chat_template(checkpoint))
