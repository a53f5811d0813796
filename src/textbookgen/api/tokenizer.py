"""Tokenizer: from text to token ids and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


#: The end-of-document token of tokenizers trained here and of the tokenizer `bytes`.
END_OF_DOCUMENT = "<|endoftext|>"


class Tokenizer(Protocol):
    """Encodes text as token ids. A plugin provides one through the hook `open_tokenizer`; it must pickle.

    Attributes:
        name: as recipes name it, such as `hf:tokenizer.json`.
        vocabulary: the number of ids, special ones included: the highest id plus one.
        eod: the id that ends a document.
        digest: identifies the vocabulary; checkpoints and shards with equal digests fit each other.
        file: a file that the library `tokenizers` can open; None if there is none.
    """

    name: str
    vocabulary: int
    eod: int
    digest: str
    file: Path | None

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without an end-of-document id. Text that spells a special token is ordinary text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of these ids, without special ones."""
        ...


@runtime_checkable
class RaggedTokenizer(Tokenizer, Protocol):
    """A tokenizer that also returns arrays; optional, and several times as fast for packing."""

    def encode_ragged(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]:
        """Return the same ids as `encode_batch`, in two arrays.

        Args:
            texts: the texts.

        Returns:
            The ids of all texts concatenated, shape (tokens,), an integer dtype that holds every id; and the number of ids of
            each text, shape (texts,), of any integer dtype.
        """
        ...


class ByteTokenizer:
    """UTF-8 bytes as ids 0 to 255, and 256 to end a document. It needs no training and no file."""

    name = "bytes"
    vocabulary = 257
    eod = 256
    digest = "bytes"
    file: Path | None = None

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the bytes of each text."""
        return [list(text.encode()) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of these bytes; incomplete characters become U+FFFD."""
        return bytes(i for i in ids if i < 256).decode(errors="replace")
