"""Packed shards as trainers read them: the manifest, and token files in Megatron's indexed format, memory-mapped.

docs/data-format.md describes the folder.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textbookgen.api.cards import ChatTemplateCard, SplitCounts, TokenizerCard, TokenShardManifest
from textbookgen.api.errors import TrainerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Split = Literal["train", "valid"]
SPLITS: tuple[Split, ...] = ("train", "valid")
#: The name of Megatron's indexed format in the manifest.
FORMAT = "megatron"
#: Start of every index file, and the version of the format.
MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
#: Struct of the index header: magic, version, dtype code, number of documents, number of document boundaries.
HEADER = "<9sQBQQ"
#: Megatron's dtype codes.
DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}
_INDEX_BYTES_PER_DOCUMENT = 12  # an int32 and an int64
_DOCUMENTS_AT_ONCE = 2**20  # whose places are compared
_PACK_AGAIN = "remove the folder and run the recipe again to pack the shards again"


class TokenFile:
    """Token ids by document: a memory-mapped `.bin` file, and the `.idx` file of where each document begins.

    Attributes:
        lengths: int32 `[documents]`, tokens of each document.

    Raises:
        TrainerError: a file is missing or incomplete.
    """

    def __init__(self, prefix: Path) -> None:
        import numpy as np

        index, data = prefix.with_name(f"{prefix.name}.idx"), prefix.with_name(f"{prefix.name}.bin")
        try:
            with index.open("rb") as file:
                magic, version, code, documents, _ = struct.unpack(HEADER, file.read(struct.calcsize(HEADER)))
            if (magic, version) != (MAGIC, VERSION) or code not in DTYPES:
                raise ValueError("not an index in Megatron's format")
            if documents > index.stat().st_size // _INDEX_BYTES_PER_DOCUMENT:
                raise ValueError(f"the index is too short for {documents:,} documents")
            start = struct.calcsize(HEADER)
            self.lengths: NDArray[np.int32] = np.memmap(index, np.int32, "r", start, (documents,))
            self._starts: NDArray[np.int64] = np.memmap(index, np.int64, "r", start + self.lengths.nbytes, (documents,))
            self._tokens: NDArray[Any] = np.memmap(data, np.dtype(DTYPES[code]), "r")
        except (OSError, ValueError, struct.error) as error:
            raise TrainerError(f"the token file cannot be read: {error}", place=str(index), hint=_PACK_AGAIN) from None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def is_consistent(self) -> bool:
        """Whether the file holds the tokens that its index says, one document after the other."""
        total = 0
        for first in range(0, len(self), _DOCUMENTS_AT_ONCE):
            lengths = self.lengths[first : first + _DOCUMENTS_AT_ONCE].astype("int64")
            ends = total + lengths.cumsum()
            starts = (ends - lengths) * self._tokens.itemsize
            if (lengths < 0).any() or (self._starts[first : first + _DOCUMENTS_AT_ONCE] != starts).any():
                return False
            total = int(ends[-1])
        return total == len(self._tokens)

    @property
    def tokens(self) -> int:
        """Number of tokens in the file."""
        return len(self._tokens)

    def read(self, document: int, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return the ids of a document from `start` to `stop` (or its end), as a view of the file with its dtype."""
        first = int(self._starts[document]) // self._tokens.itemsize
        length = int(self.lengths[document])
        end = length if stop is None else min(stop, length)
        return self._tokens[first + start : first + max(start, end)]


@dataclass(frozen=True)
class PackedShards:
    """A folder of packed shards with its manifest."""

    folder: Path
    manifest: TokenShardManifest

    @classmethod
    def read(cls, folder: Path) -> PackedShards:
        """Read the manifest.

        Raises:
            TrainerError: it is missing or incomplete, the format is not supported, or there is no training data.
        """
        hint = "use a stage that outputs TokenShards or PairShards, such as `pack`"
        shards = cls(folder, TokenShardManifest.read(folder, formats=(FORMAT,), hint=hint))
        if not shards.counts("train").tokens:
            problem = "the shards hold no training data"
            raise TrainerError(problem, place=str(folder), hint="`corpus why` shows where documents were dropped")
        return shards

    def check_files(self) -> None:
        """Raise TrainerError unless the token files hold as many tokens as the manifest says."""
        for split in SPLITS:
            expected = self.counts(split).tokens
            if not expected:
                continue
            file = self.file(split)
            if not file.is_consistent or file.tokens != expected:
                problem = f"the token files of {split} are incomplete or corrupt: {file.tokens} tokens instead of {expected}"
                raise TrainerError(problem, place=str(self.folder), hint=_PACK_AGAIN)

    def counts(self, split: Split) -> SplitCounts:
        """Return the size of a split."""
        return self.manifest.train if split == "train" else self.manifest.valid

    def file(self, split: Split) -> TokenFile:
        """Return the tokens of a split."""
        return TokenFile(Path(self.prefix(split)))

    def mask(self, split: Split) -> TokenFile | None:
        """Return the loss mask of a split, 1 for each token with a loss and 0 for the others; None if all tokens have one."""
        return TokenFile(self.folder / f"{split}.mask") if self.manifest.loss_mask else None

    def prefix(self, split: Split) -> str:
        """Return the path of the split's `.bin` and `.idx` files without the suffix."""
        return str(self.folder / split)

    @property
    def content(self) -> str:
        """What was packed: Documents, Chats or Pairs."""
        return self.manifest.content

    @property
    def chat(self) -> ChatTemplateCard | None:
        """The chat template that chats or pairs were written with."""
        return self.manifest.chat

    @property
    def vocabulary(self) -> int:
        """Number of ids of the tokenizer."""
        return self.manifest.vocabulary

    @property
    def eod(self) -> int:
        """Id of the end-of-document token."""
        return self.manifest.eod

    @property
    def sequence_length(self) -> int:
        """Tokens in a training window."""
        return self.manifest.sequence_length

    @property
    def tokenizer(self) -> TokenizerCard:
        """The tokenizer; its file, if any, is in the folder."""
        return self.manifest.tokenizer


def check_same_tokenizer(blend: Mapping[str, PackedShards]) -> None:
    """Raise TrainerError unless shards that are blended, by label, use the same tokenizer."""
    first, *others = blend
    for label in others:
        expected, other = blend[first].tokenizer, blend[label].tokenizer
        if other.digest != expected.digest:
            raise TrainerError(
                f"tokenizer mismatch: shards {label!r} use {other.name}, {first!r} use {expected.name}",
                place="shards",
                hint="pack all shards of a blend with the same tokenizer",
            )


def check_same_sequence_length(blend: Mapping[str, PackedShards]) -> None:
    """Raise TrainerError unless shards that are blended, by label, have windows of the same length."""
    first, *others = blend
    for label in others:
        expected, other = blend[first].sequence_length, blend[label].sequence_length
        if other != expected:
            problem = f"sequence length mismatch: shards {label!r} have windows of {other} tokens, {first!r} of {expected}"
            raise TrainerError(problem, place="shards", hint="pack all shards of a blend with the same sequence_length")
