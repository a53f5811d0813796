"""The serving process: `python -m textbookgen_megatron.serving.serve FOLDER`, one JSON line asked, one answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textbookgen.serving import Wish, answer, cut, serve
from textbookgen.tokenizer import ByteTokenizer


def _tokenizer(
    checkpoint: Path, card: dict[str, Any]
) -> tuple[Callable[[list[str]], list[list[int]]], Callable[[list[int]], str]]:
    """How texts are encoded and decoded, as when the checkpoint's shards were packed."""
    if card["tokenizer"]["file"] is None:
        plain = ByteTokenizer()
        return plain.encode_batch, plain.decode
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(checkpoint / card["tokenizer"]["file"]))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)], tokenizer.decode


def _card(checkpoint: Path) -> dict[str, Any]:
    """What serving must know of a checkpoint: its tokenizer, what ends a document, and its chat template."""
    path = checkpoint / "checkpoint.json"
    if path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    from textbookgen_megatron.exchange.model import chat_template, end_of_document

    return {"tokenizer": {"file": "tokenizer.json"}, "eod": end_of_document(checkpoint), "chat": chat_template(checkpoint)}


class Server:
    """A model that answers: one method for each thing that can be asked."""

    def __init__(self, checkpoint: Path) -> None:
        from textbookgen_megatron.chat import ChatEncoder
        from textbookgen_megatron.serving.forward import Network
        from textbookgen_megatron.serving.generation import Writer
        from textbookgen_megatron.serving.talk import Talk

        card = _card(checkpoint)
        encode, self._decode = _tokenizer(checkpoint, card)
        file = card["tokenizer"]["file"]
        encoder = ChatEncoder.of(encode, card["eod"], checkpoint / file if file else None)
        self.talk = Talk.of(card.get("chat"), encoder)
        self._writer = Writer(Network.load(checkpoint), encode, self._decode, card["eod"], self.talk.ends, self.talk.stop)

    def answer(self, asked: dict[str, Any]) -> Any:
        """What one line asks for.

        Raises:
            ValueError: nobody knows what is asked.
        """
        match asked["ask"]:
            case "encode":
                return self.talk.encode(asked["prompts"])
            case "decode":
                return [self._said(ids) for ids in asked["tokens"]]
            case "extend":
                return self._writer.extend(asked["prefixes"], Wish.of(asked), asked["seeds"], asked["rooms"])
            case "logprobs":
                return self._writer.logprobs([(before, after) for before, after in asked["pairs"]])
            case _:
                return answer(self._writer, asked)

    def _said(self, ids: list[int]) -> str:
        """What a reader sees of an answer."""
        return cut(self._decode([each for each in ids if each not in self.talk.ends]), self.talk.stop)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(lambda: Server(folder).answer)
