"""How a checkpoint is talked to: texts plainly, conversations by its own chat template, both as token ids and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textbookgen.api.errors import TrainerError
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.chat_template import ChatEncoder, ChatTemplate, Piece, read_messages


@dataclass(frozen=True)
class PromptCodec:
    """A checkpoint's tokenizer and chat template, if it has one.

    `ends` are the ids that end an answer, the eod among them; `stop` is the text that does, where the template ends an
    answer with words that the tokenizer has no single id for.
    """

    template: ChatTemplate | None
    encoder: ChatEncoder
    decode: Callable[[list[int]], str]
    ends: frozenset[int]
    stop: tuple[str, ...]

    @classmethod
    def of(cls, chat: Mapping[str, str] | None, encoder: ChatEncoder, decode: Callable[[list[int]], str]) -> PromptCodec:
        """For the chat template of a checkpoint's card, if it has one, and its tokenizer."""
        template = ChatTemplate(chat["name"], chat["template"]) if chat else None
        ending = template.ending() if template else ""
        ids = next(encoder.encode([[Piece(ending, said=False, learned=False)]]))[0] if ending else []
        if len(ids) == 1:
            return cls(template, encoder, decode, frozenset({encoder.eod, *ids}), ())
        return cls(template, encoder, decode, frozenset({encoder.eod}), (ending,) if ending else ())

    @classmethod
    def at(cls, checkpoint: Path, card: Mapping[str, Any]) -> PromptCodec:
        """As a checkpoint's card tells: its `eod`, its `chat`, and the `file` of its `tokenizer` (none: that of bytes).

        Texts are encoded as when they were packed: what spells a control token stays text.

        Raises:
            TrainerError: the tokenizer's file is missing or torn.
        """
        name = card["tokenizer"]["file"]
        if name is None:
            plain = ByteTokenizer()
            return cls.of(card.get("chat"), ChatEncoder.of(plain.encode_batch, card["eod"], None), plain.decode)
        from tokenizers import Tokenizer

        file = checkpoint / name
        try:
            opened = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for a file it does not understand
            hint = "write the folder anew: train, import or export again"
            raise TrainerError(f"the tokenizer cannot be read: {error}", place=str(file), hint=hint) from None
        opened.no_truncation()
        opened.no_padding()
        opened.encode_special_tokens = True

        def encode(texts: list[str]) -> list[list[int]]:
            return [item.ids for item in opened.encode_batch_fast(texts, add_special_tokens=False)]

        return cls.of(card.get("chat"), ChatEncoder.of(encode, card["eod"], file), opened.decode)

    @property
    def eod(self) -> int:
        """The id that ends a document, and stands before the first."""
        return self.encoder.eod

    def encode(self, prompts: Sequence[str | list[dict[str, str]]]) -> list[list[int]]:
        """The ids of each prompt, a text or a list of messages; where the assistant has the last word, it is gone on with."""
        return [ids for ids, _ in self.encoder.encode([self._pieces(prompt) for prompt in prompts])]

    def said(self, ids: Sequence[int]) -> str:
        """What a reader sees of these ids: without what ends an answer."""
        return cut(self.decode([item for item in ids if item not in self.ends]), self.stop)

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


def ends_with(ids: Sequence[int], stop: Sequence[str], decode: Callable[[list[int]], str]) -> bool:
    """Whether the last of these ids brought a stop text; called after each, so only the last few are decoded."""
    if not stop:
        return False
    # each token is a byte at least, so a stop text that just ended lies within so many last ones
    near = max(len(text.encode()) for text in stop) + 4
    tail = decode(list(ids[-near:]))
    return any(text in tail for text in stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the first stop text in it."""
    return text[: min((place for place in map(text.find, stop) if place >= 0), default=len(text))]
