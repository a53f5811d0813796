"""Shards as trainers read them: the manifest, and token files in Megatron's indexed format, mapped and never loaded.

What a folder of them holds is told in docs/data-format.md. Token files need numpy.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textbookgen.api.errors import TrainerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = ("train", "valid")
#: What the manifest calls Megatron's indexed format.
FORMAT = "megatron"
#: What token files hold, by the code in their index.
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}
_HEADER = "<9sQBQQ"
_MAGIC = b"MMIDIDX\x00\x00"
_AGAIN = "remove the folder and run the recipe again: the shards are packed anew"


class TokenFile:
    """Token ids by document: a `.bin` file that is mapped, and where in it each document begins, from the `.idx` file.

    Raises:
        TrainerError: a file is missing or not whole.
    """

    def __init__(self, prefix: Path) -> None:
        import numpy as np

        index, data = prefix.with_name(f"{prefix.name}.idx"), prefix.with_name(f"{prefix.name}.bin")
        try:
            with index.open("rb") as file:
                magic, version, code, documents, _ = struct.unpack(_HEADER, file.read(struct.calcsize(_HEADER)))
            if (magic, version) != (_MAGIC, 1) or code not in _DTYPES:
                raise ValueError("it is no index of Megatron's")
            start = struct.calcsize(_HEADER)
            self.lengths: NDArray[np.int32] = np.memmap(index, np.int32, "r", start, (documents,))
            self._starts: NDArray[np.int64] = np.memmap(index, np.int64, "r", start + self.lengths.nbytes, (documents,))
            self._tokens: NDArray[Any] = np.memmap(data, np.dtype(_DTYPES[code]), "r")
        except (OSError, ValueError, struct.error) as error:
            raise TrainerError(f"the token file cannot be read: {error}", place=str(index), hint=_AGAIN) from None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        """How many tokens the file holds; -1 if that is not what its index tells."""
        told = int(self.lengths.sum(dtype="int64"))
        return told if told == len(self._tokens) else -1

    def read(self, document: int, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """The ids of a document from `start` to `stop`, as a view of the file."""
        first = int(self._starts[document]) // self._tokens.itemsize
        length = int(self.lengths[document])
        return self._tokens[first + start : first + (length if stop is None else stop)]


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
    """A folder of shards, and its manifest."""

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
            raise TrainerError("the shards have no manifest.json", place=str(folder), hint="pack them again")
        card = json.loads(path.read_text(encoding="utf-8"))
        if card.get("format") != FORMAT:
            problem = f"the shards are of format {card.get('format')!r}, not in Megatron's indexed one"
            raise TrainerError(problem, place=str(path), hint="pack them with a stage that writes it: see `stage list`")
        shards = cls(folder, card)
        if not shards.counts("train").tokens:
            hint = "look with `corpus why` where their documents went"
            raise TrainerError("the shards are empty", place=str(path), hint=hint)
        return shards

    def check_files(self) -> None:
        """Raises TrainerError unless the token files hold what the manifest tells."""
        for split in SPLITS:
            told = self.counts(split).tokens
            if told and self.file(split).tokens != told:
                raise TrainerError(
                    f"the token files of {split} are torn: they do not hold the {told} tokens that the manifest tells of",
                    place=str(self.folder),
                    hint=_AGAIN,
                )

    def counts(self, split: Split) -> Counts:
        """How much is in the split."""
        return Counts(**self.card[split])

    def file(self, split: Split) -> TokenFile:
        """The tokens of a split."""
        return TokenFile(Path(self.prefix(split)))

    def mask(self, split: Split) -> TokenFile | None:
        """1 for each token that is learned and 0 for the others; None if all are."""
        prefix = self.mask_prefix(split)
        return TokenFile(Path(prefix)) if prefix else None

    def prefix(self, split: Split) -> str:
        """What the `.bin` and `.idx` files of the split are called, without the ending."""
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
        """The chat template that Chats or Pairs were written with: its `name` and its `template`."""
        result: dict[str, Any] | None = self.card.get("chat")
        return result

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


def check_one_vocabulary(blend: Mapping[str, PackedShards]) -> None:
    """Raises TrainerError unless shards that are blended, by label, speak one vocabulary."""
    first, *others = blend
    for label in others:
        mine, theirs = blend[first].tokenizer, blend[label].tokenizer
        if theirs["digest"] != mine["digest"]:
            raise TrainerError(
                f"the shards {label!r} speak the vocabulary {theirs['name']}, {first!r} {mine['name']}",
                place="shards",
                hint="pack all that is blended with one tokenizer",
            )
