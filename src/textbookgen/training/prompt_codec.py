"""The tokenizer and chat template of a checkpoint: texts and conversations to token ids, and ids back to text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textbookgen.api.cards import ChatTemplateCard
from textbookgen.api.errors import TrainerError
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.chat_template import ChatEncoder, ChatTemplate, Piece, read_messages


@dataclass(frozen=True)
class PromptCodec:
    """Encodes prompts and decodes completions.

    Attributes:
        template: the chat template, if the checkpoint has one.
        encoder: the encoder of the tokenizer.
        decode: the decoder of the tokenizer.
        end_ids: ids that end an answer, the end-of-document id among them.
        stop: texts that end an answer, where the template ends it with text for which the tokenizer has no single id.
        start_ids: ids that the tokenizer by its own rules puts before a text, such as `<s>`; none for most. Texts are packed
            without them.
    """

    template: ChatTemplate | None
    encoder: ChatEncoder
    decode: Callable[[list[int]], str]
    end_ids: frozenset[int]
    stop: tuple[str, ...]
    start_ids: tuple[int, ...] = ()

    @classmethod
    def create(
        cls,
        template: ChatTemplate | None,
        encoder: ChatEncoder,
        decode: Callable[[list[int]], str],
        start_ids: tuple[int, ...] = (),
    ) -> PromptCodec:
        """Return the codec of a chat template and a tokenizer."""
        end = template.answer_end() if template else ""
        ids = next(encoder.encode([[Piece(end, is_message_text=False, in_loss=False)]]))[0] if end else []
        if len(ids) == 1:
            return cls(template, encoder, decode, frozenset({encoder.eod, *ids}), (), start_ids)
        return cls(template, encoder, decode, frozenset({encoder.eod}), (end,) if end else (), start_ids)

    @classmethod
    def load(cls, folder: Path, file: str | None, eod: int, chat: ChatTemplateCard | None = None) -> PromptCodec:
        """Return the codec of a checkpoint.

        Texts are encoded as they were packed: control tokens in them are ordinary text.

        Args:
            folder: the checkpoint's folder.
            file: name of the tokenizer's file in it; None for the tokenizer `bytes`.
            eod: the end-of-document id.
            chat: the chat template of the checkpoint's card.

        Raises:
            TrainerError: the tokenizer's file is missing or corrupt.
        """
        template = ChatTemplate(chat.name, chat.template) if chat else None
        if file is None:
            plain = ByteTokenizer()
            return cls.create(template, ChatEncoder.for_tokenizer(plain.encode_batch, eod, None), plain.decode)
        from tokenizers import Tokenizer

        path = folder / file
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a file it cannot parse
            hint = "write the folder again: train, import or export again"
            raise TrainerError(f"the tokenizer cannot be read: {error}", place=str(path), hint=hint) from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True

        def encode(texts: list[str]) -> list[list[int]]:
            return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

        return cls.create(template, ChatEncoder.for_tokenizer(encode, eod, path), tokenizer.decode, _start_ids(tokenizer))

    @property
    def eod(self) -> int:
        """The end-of-document id, which also precedes the first document."""
        return self.encoder.eod

    @property
    def generation_end_ids(self) -> int | list[int]:
        """The ids that end an answer as a `generation_config.json` has them under `eos_token_id`: one, or a list."""
        return self.eod if self.end_ids == {self.eod} else sorted(self.end_ids)

    def encode(self, prompts: Sequence[str | list[dict[str, str]]]) -> list[list[int]]:
        """Return the ids of each prompt, a text or a list of messages; a last message of the assistant is continued."""
        return [ids for ids, _ in self.encoder.encode([self._pieces(prompt) for prompt in prompts])]

    def decode_answer(self, ids: Sequence[int]) -> str:
        """Return the text of an answer, without what ends it."""
        return cut(self.decode([token for token in ids if token not in self.end_ids]), self.stop)

    def _pieces(self, prompt: str | list[dict[str, Any]]) -> list[Piece]:
        if isinstance(prompt, str):
            return [Piece(prompt, is_message_text=True, in_loss=False)] if prompt else []
        messages = read_messages(prompt)
        if self.template is None:
            return self._pieces("\n\n".join(message.content for message in messages))
        if not messages or messages[-1].role != "assistant":
            return self.template.prompt(messages)
        start = Piece(messages[-1].content, is_message_text=True, in_loss=False)
        return [*self.template.prompt(messages[:-1]), start]


def _start_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that a tokenizer puts before a text by its own rules."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    special = list(encoding.special_tokens_mask)
    return tuple(encoding.ids[: special.index(0)]) if 0 in special else ()


def ends_with(ids: Sequence[int], stop: Sequence[str], decode: Callable[[list[int]], str]) -> bool:
    """Whether the last of these ids completed a stop text; call it after each id, since only the last few are decoded."""
    if not stop:
        return False
    # a token is at least one byte, so a stop text that was just completed lies within this many last ids
    last = max(len(text.encode()) for text in stop) + 4
    tail = decode(list(ids[-last:]))
    return any(text in tail for text in stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first stop text in it."""
    return text[: min((place for place in map(text.find, stop) if place >= 0), default=len(text))]
