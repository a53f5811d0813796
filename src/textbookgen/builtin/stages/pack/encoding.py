"""Documents, chats and pairs as token ids, with what of them is learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.api.message import Message
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.builtin.stages.pack.token_stream import Stream
from textbookgen.training.chat_template import ChatEncoder, ChatTemplate, Piece, read_messages
from textbookgen.training.sampled_ids import Encoded, by_ids, sampled_pairs
from textbookgen.training.shards import SPLITS, Counts, Split


@dataclass
class PackingCounts:
    """How much was packed, and what was left out: without text, without an answer, or longer than a window (pairs)."""

    counts: dict[Split, Counts] = field(default_factory=lambda: {split: Counts() for split in SPLITS})
    empty: int = 0
    unanswered: int = 0
    too_long: int = 0
    written: int = 0  # conversations (pairs) that the chat template wrote, rather than kept token ids

    def add(self, split: Split, doc: Encoded) -> None:
        """Counts one document."""
        had, length = self.counts[split], len(doc.tokens)
        self.counts[split] = replace(
            had,
            documents=had.documents + 1,
            tokens=had.tokens + length,
            bytes=had.bytes + doc.bytes,
            loss_tokens=had.loss_tokens + sum(doc.learned),
            loss_bytes=had.loss_bytes + doc.learned_bytes,
        )

    def add_stream(self, split: Split, stream: Stream) -> None:
        """Counts documents of which all is learned."""
        had, tokens = self.counts[split], len(stream.tokens)
        self.counts[split] = Counts(
            documents=had.documents + len(stream),
            tokens=had.tokens + tokens,
            bytes=had.bytes + stream.bytes,
            loss_tokens=had.loss_tokens + tokens,
            loss_bytes=had.loss_bytes + stream.bytes,
        )

    def why(self) -> str:
        """What was left out, in words."""
        left = {"without text": self.empty, "without an answer": self.unanswered, "longer than a window": self.too_long}
        told = ", ".join(f"{count} {what}" for what, count in left.items() if count)
        return f" ({told})" if told else ""


def encoded_texts(rows: pl.DataFrame, tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Each document of a frame with `id`, `text` and `prompt`, which may be null.

    A prompt and what follows it are encoded apart, as they are when a model is asked to continue the prompt.
    """
    ids, texts = rows["id"].to_list(), rows["text"].to_list()
    heads = [prompt or "" for prompt in rows["prompt"].to_list()]
    for document, text, head in zip(ids, texts, heads, strict=True):
        if not text.startswith(head):
            raise RunError(f"the text of document {document} does not begin with its prompt", place="prompt")
    encoded_heads = tokenizer.encode_batch(heads) if any(heads) else [[] for _ in heads]
    rests = [text[len(head) :] for text, head in zip(texts, heads, strict=True)]
    for document, text, rest, head_ids, rest_ids in zip(
        ids, texts, rests, encoded_heads, tokenizer.encode_batch(rests), strict=True
    ):
        learned = [0] * len(head_ids) + [1] * (len(rest_ids) + 1)
        yield Encoded(document, [*head_ids, *rest_ids, tokenizer.eod], learned, len(text.encode()), len(rest.encode()))


@dataclass
class Conversations:
    """Encodes chats and pairs by a template."""

    template: ChatTemplate
    tokenizer: Tokenizer
    window: int
    counts: PackingCounts

    def __post_init__(self) -> None:
        self._encoder = ChatEncoder.of(self.tokenizer.encode_batch, self.tokenizer.eod, self.tokenizer.file)

    def chats(self, rows: pl.DataFrame) -> Iterator[Encoded]:
        """Each conversation in which the assistant says something."""
        kept: list[tuple[str, list[Message]]] = []
        for document, value in zip(rows["id"], rows["messages"].to_list(), strict=True):
            messages = read_messages(value)
            if any(item.role == "assistant" and item.content.strip() for item in messages):
                kept.append((document, messages))
            else:
                self.counts.unanswered += 1
        self.counts.written += len(kept)
        pieces = [self.template.pieces(messages) for _, messages in kept]
        for (document, _), parts, (tokens, learned) in zip(kept, pieces, self._encoder.encode(pieces), strict=True):
            yield self._ended(document, parts, tokens, learned)

    def pairs(self, rows: pl.DataFrame) -> Iterator[Encoded]:
        """Of each pair the chosen conversation, then the rejected; both or none.

        Pairs that kept the token ids they were sampled with are packed by those, if they are this tokenizer's.

        Raises:
            RunError: a pair has no chosen or no rejected reply.
        """
        for sampled, some in by_ids(rows, self.tokenizer.digest):
            yield from self._fitting(sampled_pairs(some) if sampled else self._written(some))

    def _written(self, rows: pl.DataFrame) -> Iterator[Encoded]:
        """Chosen and rejected of each pair, by the template."""
        ids = rows["id"].to_list()
        pieces: list[list[Piece]] = []
        for row in rows.iter_rows(named=True):
            prompt = read_messages(row["prompt"])
            for which in ("chosen", "rejected"):
                reply = read_messages(row[which])
                if not any(item.role == "assistant" and item.content.strip() for item in reply):
                    raise RunError(
                        f"the pair {row['id']} has no {which} reply",
                        place="from",
                        hint=f"`{which}` must hold what the assistant says; filter pairs that have none before they are packed",
                    )
                pieces.append(self._reply(prompt, reply))
        self.counts.written += rows.height
        for number, (tokens, learned) in enumerate(self._encoder.encode(pieces)):
            yield self._ended(ids[number // 2], pieces[number], tokens, learned)

    def _fitting(self, replies: Iterator[Encoded]) -> Iterator[Encoded]:
        """Pairs of which both replies fit into a window."""
        for chosen, rejected in zip(replies, replies, strict=True):
            if max(len(chosen.tokens), len(rejected.tokens)) > self.window:
                self.counts.too_long += 1
            else:
                yield from (chosen, rejected)

    def _reply(self, prompt: list[Message], reply: list[Message]) -> list[Piece]:
        """A prompt and a reply to it, of which only the reply is learned.

        A prompt that ends in the middle of what the assistant says is gone on with, and nothing after is learned: so single
        tokens, as pivotal token search finds them (arXiv 2412.08905), can be preferred.
        """
        if not prompt or prompt[-1].role != "assistant":
            return self.template.pieces([*prompt, *reply], learn_from=len(prompt))
        begun = prompt[-1].content
        return [
            *self.template.prompt(prompt[:-1]),
            Piece(begun, said=True, learned=False),
            Piece(reply[0].content, said=True, learned=True),
        ]

    def _ended(self, document: str, pieces: list[Piece], tokens: list[int], learned: list[int]) -> Encoded:
        """With an eod behind, which is learned if the assistant had the last word; a reply that goes on has none.

        Where the template ends a turn with the eod itself, that one is the last, and what follows it (a newline) is left off.
        """
        open_end = pieces[-1].said and pieces[-1].learned
        last_word = next((piece.learned for piece in reversed(pieces) if piece.said), False)
        ended = len(learned) - learned[::-1].index(1) if last_word and 1 in learned else 0
        if ended and tokens[ended - 1] == self.tokenizer.eod:
            tokens, learned = tokens[:ended], learned[:ended]
        elif not open_end and tokens[-1] != self.tokenizer.eod:
            tokens, learned = [*tokens, self.tokenizer.eod], [*learned, int(last_word)]
        size = sum(len(piece.text.encode()) for piece in pieces if piece.said)
        said = sum(len(piece.text.encode()) for piece in pieces if piece.said and piece.learned)
        return Encoded(document, tokens, learned, size, said)
