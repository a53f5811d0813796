"""Prompts as token ids: texts plainly, conversations by a checkpoint's own chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textbookgen_megatron.chat import ChatEncoder, ChatTemplate, Piece, read_messages


@dataclass(frozen=True)
class Talk:
    """How a checkpoint is talked to.

    `ends` are the ids that end an answer, the eod first of all; `stop` is the text that does, where the template ends an
    answer with words that the tokenizer has no single id for.
    """

    template: ChatTemplate | None
    encoder: ChatEncoder
    ends: frozenset[int]
    stop: tuple[str, ...]

    @classmethod
    def of(cls, chat: Mapping[str, str] | None, encoder: ChatEncoder) -> Talk:
        """For the chat template of a checkpoint's card, if it has one, and its tokenizer."""
        template = ChatTemplate(chat["name"], chat["template"]) if chat else None
        ending = template.ending() if template else ""
        ids = next(encoder.encode([[Piece(ending, said=False, learned=False)]]))[0] if ending else []
        if len(ids) == 1:
            return cls(template, encoder, frozenset({encoder.eod, *ids}), ())
        return cls(template, encoder, frozenset({encoder.eod}), (ending,) if ending else ())

    def encode(self, prompts: Sequence[str | list[dict[str, str]]]) -> list[list[int]]:
        """The ids of each prompt, a text or a list of messages; where the assistant has the last word, it is gone on with."""
        return [ids for ids, _ in self.encoder.encode([self._pieces(prompt) for prompt in prompts])]

    def _pieces(self, prompt: str | list[dict[str, Any]]) -> list[Piece]:
        if isinstance(prompt, str):
            return [Piece(prompt, said=True, learned=False)] if prompt else []
        messages = read_messages(prompt)
        if self.template is None:
            return self._pieces("\n\n".join(message.content for message in messages))
        begun = messages[-1].content if messages and messages[-1].role == "assistant" else None
        if begun is None:
            return self.template.prompt(messages)
        return [*self.template.prompt(messages[:-1]), Piece(begun, said=True, learned=False)]
