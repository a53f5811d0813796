"""What a folder of shards says of itself, read by trainers before they believe it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from textbookgen.errors import TrainerError

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = ("train", "valid")
FORMAT = "megatron"


@dataclass(frozen=True)
class Counts:
    """How much is in a split; `loss_*` is the part that is learned where there is a loss mask, else all of it."""

    documents: int = 0
    tokens: int = 0
    bytes: int = 0
    loss_tokens: int = 0
    loss_bytes: int = 0

    @property
    def bytes_per_token(self) -> float:
        """Bytes of learned text per learned token: what turns nats per token into bits per byte."""
        return self.loss_bytes / self.loss_tokens if self.loss_tokens else 0.0


@dataclass(frozen=True)
class PackedShards:
    """A folder written by `megatron/pack`."""

    folder: Path
    card: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> PackedShards:
        """Reads and checks the manifest.

        Raises:
            TrainerError: the folder is not whole, is of another format, or holds nothing to train on.
        """
        path = folder / "manifest.json"
        if not path.is_file():
            raise TrainerError("the shards have no manifest.json", place=str(folder), hint="pack them again with megatron/pack")
        card = json.loads(path.read_text(encoding="utf-8"))
        if card.get("format") != FORMAT:
            raise TrainerError(
                f"the shards are of format {card.get('format')!r}", place=str(path), hint="pack them with megatron/pack"
            )
        shards = cls(folder, card)
        if not shards.counts("train").tokens:
            raise TrainerError(
                "the shards are empty", place=str(path), hint="look with `corpus why` where their documents went"
            )
        return shards

    def counts(self, split: Split) -> Counts:
        """How much is in the split."""
        return Counts(**self.card[split])

    def prefix(self, split: Split) -> str:
        """What Megatron's `.bin` and `.idx` files of the split are called, without the ending."""
        return str(self.folder / split)

    def mask_prefix(self, split: Split) -> str | None:
        """The same for the loss mask; None if every token counts."""
        return str(self.folder / f"{split}.mask") if self.card["loss_mask"] else None

    @property
    def content(self) -> str:
        """What was packed: Documents, Chats or Pairs."""
        return str(self.card.get("content", "Documents"))

    @property
    def chat(self) -> dict[str, Any] | None:
        """The chat template that Chats or Pairs were written with, as `chat.ChatTemplate` reads it."""
        found: dict[str, Any] | None = self.card.get("chat")
        return found

    @property
    def vocabulary(self) -> int:
        """How many ids the tokenizer has."""
        return int(self.card["vocabulary"])

    @property
    def eod(self) -> int:
        """The id that ends a document."""
        return int(self.card["eod"])

    @property
    def sequence_length(self) -> int:
        """Tokens in a training window."""
        return int(self.card["sequence_length"])

    @property
    def tokenizer(self) -> dict[str, Any]:
        """Name, digest and file of the tokenizer; the file lies in the folder, and is None for bytes."""
        return dict(self.card["tokenizer"])
