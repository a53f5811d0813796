"""Packed shards as trainers read them: the manifest, and token files in Megatron's indexed format, mapped and never loaded."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textbookgen.errors import TrainerError

Split = Literal["train", "valid"]
Ids = NDArray[Any]

#: What token files hold, by the code in their index.
_DTYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 8: np.uint16}
_HEADER = "<9sQBQQ"
_MAGIC = b"MMIDIDX\x00\x00"


class TokenFile:
    """Token ids by document: a `.bin` file that is mapped, and where in it each document begins, from the `.idx` file.

    Raises:
        TrainerError: a file is missing or not whole.
    """

    def __init__(self, prefix: Path) -> None:
        index, data = prefix.with_name(f"{prefix.name}.idx"), prefix.with_name(f"{prefix.name}.bin")
        try:
            with index.open("rb") as file:
                magic, version, code, documents, _ = struct.unpack(_HEADER, file.read(struct.calcsize(_HEADER)))
            if (magic, version) != (_MAGIC, 1) or code not in _DTYPES:
                raise ValueError("it is no index of Megatron's")
            start = struct.calcsize(_HEADER)
            self.lengths: NDArray[np.int32] = np.memmap(index, np.int32, "r", start, (documents,))
            self._starts: NDArray[np.int64] = np.memmap(index, np.int64, "r", start + self.lengths.nbytes, (documents,))
            self._tokens: Ids = np.memmap(data, _DTYPES[code], "r")
        except (OSError, ValueError, struct.error) as error:
            hint = "remove the folder and run the recipe again: the shards are packed anew"
            raise TrainerError(f"the token file cannot be read: {error}", place=str(index), hint=hint) from None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """How many tokens the file holds, and how many its index tells of; both are checked against the manifest."""
        told = int(self.lengths.sum(dtype=np.int64))
        return told if told == len(self._tokens) else -1

    def read(self, document: int, start: int = 0, stop: int | None = None) -> Ids:
        """The ids of a document from `start` to `stop`, as a view of the file."""
        first = int(self._starts[document]) // self._tokens.itemsize
        length = int(self.lengths[document])
        return self._tokens[first + start : first + (length if stop is None else stop)]


@dataclass(frozen=True)
class PackedShards:
    """A folder of shards."""

    folder: Path
    card: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> PackedShards:
        """Reads the manifest and looks that the token files hold what it tells.

        Raises:
            TrainerError: the folder is not whole, is of another format, or holds nothing to train on.
        """
        path = folder / "manifest.json"
        if not path.is_file():
            raise TrainerError("the shards have no manifest.json", place=str(folder), hint="pack them again")
        card = json.loads(path.read_text(encoding="utf-8"))
        if card.get("format") != "megatron":
            problem = f"the shards are of format {card.get('format')!r}, not in Megatron's indexed one"
            raise TrainerError(problem, place=str(path), hint="pack them with megatron/pack")
        shards = cls(folder, card)
        if not shards.tokens("train"):
            hint = "look with `corpus why` where their documents went"
            raise TrainerError("the shards are empty", place=str(path), hint=hint)
        for split in ("train", "valid"):
            shards._check(split)
        return shards

    def _check(self, split: Split) -> None:
        told = self.tokens(split)
        if told and self.file(split).tokens != told:
            raise TrainerError(
                f"the token files of {split} are torn: they do not hold the {told} tokens that the manifest tells of",
                place=str(self.folder),
                hint="remove the folder and run the recipe again: the shards are packed anew",
            )

    def file(self, split: Split) -> TokenFile:
        """The tokens of a split."""
        return TokenFile(self.folder / split)

    def mask(self, split: Split) -> TokenFile | None:
        """1 for each token that is learned and 0 for the others; None if all are."""
        return TokenFile(self.folder / f"{split}.mask") if self.card["loss_mask"] else None

    def tokens(self, split: Split) -> int:
        """How many tokens a split has."""
        return int(self.card[split]["tokens"])

    def learned(self, split: Split) -> int:
        """How many of them are learned."""
        return int(self.card[split]["loss_tokens"])

    def bytes_per_token(self, split: Split) -> float:
        """Bytes of learned text per learned token: what turns nats a token into bits a byte."""
        return float(self.card[split]["loss_bytes"]) / max(1, self.learned(split))

    @property
    def content(self) -> str:
        """What was packed: Documents, Chats or Pairs."""
        return str(self.card.get("content", "Documents"))

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
