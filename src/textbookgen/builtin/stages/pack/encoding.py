"""Documents, chats and pairs as token ids with loss masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from textbookgen.api.cards import SplitCounts
from textbookgen.api.errors import RunError
from textbookgen.api.message import Message
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.training.chat_template import ChatEncoder, ChatTemplate, Piece, read_messages
from textbookgen.training.sampled_ids import EncodedDocument, encoded_pairs, group_by_ids
from textbookgen.training.shards import SPLITS, Split

if TYPE_CHECKING:
    from textbookgen.builtin.stages.pack.token_stream import EncodedStream


@dataclass
class PackingCounts:
    """How much was packed, and how many rows were left out.

    Attributes:
        splits: size of each split.
        left_out: rows that were left out, by reason.
        templated: conversations that the chat template wrote, rather than kept token ids.
    """

    splits: dict[Split, SplitCounts] = field(default_factory=lambda: {split: SplitCounts() for split in SPLITS})
    left_out: dict[str, int] = field(default_factory=dict)
    templated: int = 0

    def add(self, split: Split, document: EncodedDocument) -> None:
        """Count one document."""
        before, length = self.splits[split], len(document.tokens)
        self.splits[split] = replace(
            before,
            documents=before.documents + 1,
            tokens=before.tokens + length,
            bytes=before.bytes + document.bytes,
            loss_tokens=before.loss_tokens + sum(document.loss_mask),
            loss_bytes=before.loss_bytes + document.loss_bytes,
        )

    def add_stream(self, split: Split, stream: EncodedStream) -> None:
        """Count documents whose every token is in the loss."""
        before, tokens = self.splits[split], len(stream.tokens)
        self.splits[split] = SplitCounts(
            documents=before.documents + len(stream),
            tokens=before.tokens + tokens,
            bytes=before.bytes + stream.bytes,
            loss_tokens=before.loss_tokens + tokens,
            loss_bytes=before.loss_bytes + stream.bytes,
        )

    def leave_out(self, reason: str, rows: int = 1) -> None:
        """Count rows that are left out."""
        if rows:
            self.left_out[reason] = self.left_out.get(reason, 0) + rows

    def describe_left_out(self) -> str:
        """Describe the rows that were left out, for messages."""
        counted = ", ".join(f"{rows} {reason}" for reason, rows in self.left_out.items())
        return f" ({counted})" if counted else ""


def encode_texts(rows: pl.DataFrame, tokenizer: Tokenizer) -> Iterator[EncodedDocument]:
    """Encode documents whose loss covers only what follows a prompt.

    Prompt and continuation are encoded separately, as they are when a model is asked to continue the prompt.

    Args:
        rows: `id`, `text` and `prompt`, the beginning of the text or null.
        tokenizer: the tokenizer.

    Raises:
        RunError: a text does not begin with its prompt.
    """
    ids, texts = rows["id"].to_list(), rows["text"].to_list()
    prompts = [prompt or "" for prompt in rows["prompt"].to_list()]
    for document, text, prompt in zip(ids, texts, prompts, strict=True):
        if not text.startswith(prompt):
            raise RunError(
                f"the text of document {document} does not begin with its prompt",
                place="prompt",
                hint="name a column that holds the beginning of each text",
            )
    encoded_prompts = tokenizer.encode_batch(prompts) if any(prompts) else [[] for _ in prompts]
    rests = [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]
    for document, text, rest, prompt_ids, rest_ids in zip(
        ids, texts, rests, encoded_prompts, tokenizer.encode_batch(rests), strict=True
    ):
        loss_mask = [0] * len(prompt_ids) + [1] * (len(rest_ids) + 1)
        tokens = [*prompt_ids, *rest_ids, tokenizer.eod]
        yield EncodedDocument(document, tokens, loss_mask, len(text.encode()), len(rest.encode()))


@dataclass
class ConversationEncoder:
    """Encodes chats and pairs with a chat template."""

    template: ChatTemplate
    tokenizer: Tokenizer
    sequence_length: int
    counts: PackingCounts

    def __post_init__(self) -> None:
        self._encoder = ChatEncoder.for_tokenizer(self.tokenizer.encode_batch, self.tokenizer.eod, self.tokenizer.file)

    def chats(self, rows: pl.DataFrame) -> Iterator[EncodedDocument]:
        """Encode each conversation that has an assistant message; `rows` has `id` and `messages`."""
        kept: list[tuple[str, list[Message]]] = []
        for document, value in zip(rows["id"], rows["messages"].to_list(), strict=True):
            messages = read_messages(value)
            if _has_answer(messages):
                kept.append((document, messages))
            else:
                self.counts.leave_out("without an assistant message")
        self.counts.templated += len(kept)
        pieces = [self.template.pieces(messages) for _, messages in kept]
        for (document, _), parts, (tokens, mask) in zip(kept, pieces, self._encoder.encode(pieces), strict=True):
            yield self._end(document, parts, tokens, mask)

    def pairs(self, rows: pl.DataFrame) -> Iterator[EncodedDocument]:
        """Encode the chosen, then the rejected conversation of each pair; pairs longer than a window are left out.

        Pairs that kept the token ids they were sampled with are packed by those, if they are of this tokenizer.

        Raises:
            RunError: a pair has no chosen or no rejected reply.
        """
        for has_ids, some in group_by_ids(rows, self.tokenizer.digest):
            yield from self._fitting(encoded_pairs(some) if has_ids else self._encode_pairs(some))

    def _encode_pairs(self, rows: pl.DataFrame) -> Iterator[EncodedDocument]:
        ids = rows["id"].to_list()
        pieces: list[list[Piece]] = []
        for row in rows.iter_rows(named=True):
            prompt = read_messages(row["prompt"])
            for column in ("chosen", "rejected"):
                reply = read_messages(row[column])
                if not _has_answer(reply):
                    raise RunError(
                        f"the pair {row['id']} has no {column} reply",
                        place="from",
                        hint=f"`{column}` must hold an assistant message; filter out pairs without one before `pack`",
                    )
                pieces.append(self._reply_pieces(prompt, reply))
        self.counts.templated += rows.height
        for number, (tokens, mask) in enumerate(self._encoder.encode(pieces)):
            yield self._end(ids[number // 2], pieces[number], tokens, mask)

    def _fitting(self, replies: Iterator[EncodedDocument]) -> Iterator[EncodedDocument]:
        """Yield the pairs whose replies both fit into a window."""
        for chosen, rejected in zip(replies, replies, strict=True):
            if max(len(chosen.tokens), len(rejected.tokens)) > self.sequence_length:
                self.counts.leave_out(f"longer than {self.sequence_length} tokens")
            else:
                yield from (chosen, rejected)

    def _reply_pieces(self, prompt: list[Message], reply: list[Message]) -> list[Piece]:
        """Return a prompt and a reply, of which the loss covers only the reply.

        A prompt that ends with an unfinished assistant message is continued, without the template's end of an answer: so
        preferences can be about single tokens, as pivotal token search finds them (arXiv 2412.08905).
        """
        if not prompt or prompt[-1].role != "assistant":
            return self.template.pieces([*prompt, *reply], loss_from=len(prompt))
        return [
            *self.template.prompt(prompt[:-1]),
            Piece(prompt[-1].content, is_message_text=True, in_loss=False),
            Piece(reply[0].content, is_message_text=True, in_loss=True),
        ]

    def _end(self, document: str, pieces: list[Piece], tokens: list[int], mask: list[int]) -> EncodedDocument:
        """Append an eod, in the loss if the last message is in it; a reply that continues a message gets none.

        If the template ends an answer with the eod itself, that is the last token, and what follows (a newline) is dropped.
        """
        unfinished = pieces[-1].is_message_text and pieces[-1].in_loss
        last_in_loss = next((piece.in_loss for piece in reversed(pieces) if piece.is_message_text), False)
        end = len(mask) - mask[::-1].index(1) if last_in_loss and 1 in mask else 0
        if end and tokens[end - 1] == self.tokenizer.eod:
            tokens, mask = tokens[:end], mask[:end]
        elif not unfinished and tokens[-1] != self.tokenizer.eod:
            tokens, mask = [*tokens, self.tokenizer.eod], [*mask, int(last_in_loss)]
        size = sum(len(piece.text.encode()) for piece in pieces if piece.is_message_text)
        loss_size = sum(len(piece.text.encode()) for piece in pieces if piece.is_message_text and piece.in_loss)
        return EncodedDocument(document, tokens, mask, size, loss_size)


def _has_answer(messages: list[Message]) -> bool:
    return any(message.role == "assistant" and message.content.strip() for message in messages)
