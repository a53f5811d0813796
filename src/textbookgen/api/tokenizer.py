"""Tokenizer: text to numbers and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


class Tokenizer(Protocol):
    """Text to token ids and back."""

    name: str
    vocabulary: int  # how many ids there are, special ones included
    eod: int  # the id that ends a document
    digest: str  # tells vocabularies apart: checkpoints and shards carry it
    file: Path | None  # where the `tokenizers` library can open it; None if it is not such a file

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without an end of document."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these ids; special ones are left out."""
        ...


@runtime_checkable
class RaggedTokenizer(Tokenizer, Protocol):
    """A tokenizer that gives arrays: what it need not put into Python's lists can be packed several times as fast."""

    def encode_ragged(self, texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The ids of all texts one after the other, and how many each text has; the same as `encode_batch` gives."""
        ...


class ByteTokenizer:
    """One id a byte of UTF-8, and 256 to end a document: needs no training and no file."""

    name = "bytes"
    vocabulary = 257
    eod = 256
    digest = "bytes"
    file: Path | None = None

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The bytes of each text."""
        return [list(text.encode()) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of these bytes; broken characters are replaced."""
        return bytes(i for i in ids if i < 256).decode(errors="replace")
