"""Writer of token files in Megatron-core's indexed format: `.bin` of ids, and `.idx` of where each document begins.

numpy alone is enough for this format, so packing needs neither torch nor megatron-core; a test and `benchmarks/train.py`
compare the files with those of Megatron-core's own builder, byte for byte.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from textbookgen.training.shards import DTYPES, HEADER, MAGIC, SPLITS, VERSION, Split

#: Megatron's codes of dtypes.
CODES = {name: code for code, name in DTYPES.items()}
#: Documents whose offsets are computed at once.
CHUNK = 1 << 20

Ids = NDArray[np.integer[Any]]


class TokenFileWriter:
    """Writes a `.bin` file and its `.idx` file, one sequence per document.

    The lengths of documents are kept in a temporary file rather than in memory.

    Args:
        prefix: path of the files without the suffix.
        dtype: dtype of the ids, a key of `CODES`.
    """

    def __init__(self, prefix: Path, dtype: str) -> None:
        self._prefix, self._dtype = prefix, np.dtype(dtype)
        self._lengths_path = prefix.with_name(f"{prefix.name}.lengths")
        self._tokens = prefix.with_name(f"{prefix.name}.bin").open("wb")
        self._lengths = self._lengths_path.open("wb")

    def add(self, ids: Ids, lengths: Ids) -> None:
        """Append documents.

        Args:
            ids: the ids of all documents, concatenated, `[tokens]`.
            lengths: tokens of each document, `[documents]`.
        """
        self._tokens.write(ids.astype(self._dtype).data)
        self._lengths.write(lengths.astype(np.int32).data)

    def close(self) -> None:
        """Write the index, which completes the files."""
        self._tokens.close()
        self._lengths.close()
        count = self._lengths_path.stat().st_size // 4
        with self._prefix.with_name(f"{self._prefix.name}.idx").open("wb") as index:
            index.write(struct.pack(HEADER, MAGIC, VERSION, CODES[self._dtype.name], count, count + 1))
            with self._lengths_path.open("rb") as lengths:
                shutil.copyfileobj(lengths, index)
            for start, chunk in self._chunks():
                index.write(((np.cumsum(chunk, dtype=np.int64) - chunk + start) * self._dtype.itemsize).data)
            for first in range(0, count + 1, CHUNK):
                index.write(np.arange(first, min(first + CHUNK, count + 1), dtype=np.int64).data)
        self._lengths_path.unlink()

    def _chunks(self) -> Iterator[tuple[int, NDArray[np.int32]]]:
        """Yield the lengths in chunks, each with the number of ids before it."""
        start = 0
        with self._lengths_path.open("rb") as file:
            while chunk := file.read(4 * CHUNK):
                lengths = np.frombuffer(chunk, np.int32)
                yield start, lengths
                start += int(lengths.sum(dtype=np.int64))


class ShardWriter:
    """Writes the token files of both splits, with loss masks if `masked`; a context manager that completes the files."""

    def __init__(self, folder: Path, dtype: str, *, masked: bool) -> None:
        self._tokens = {split: TokenFileWriter(folder / split, dtype) for split in SPLITS}
        self._masks = {split: TokenFileWriter(folder / f"{split}.mask", "uint8") for split in SPLITS if masked}

    def add(self, split: Split, documents: list[list[int]], loss_masks: list[list[int]]) -> None:
        """Append documents, each with 1 for every token that the loss covers (ignored without masks)."""
        lengths = np.fromiter(map(len, documents), np.int32, len(documents))
        total = int(lengths.sum())
        mask = np.fromiter(chain.from_iterable(loss_masks), np.uint8, total) if self._masks else None
        self.add_arrays(split, np.fromiter(chain.from_iterable(documents), np.int32, total), lengths, mask)

    def add_arrays(self, split: Split, ids: Ids, lengths: Ids, loss_mask: Ids | None = None) -> None:
        """Append documents whose ids, and loss masks, are concatenated."""
        self._tokens[split].add(ids, lengths)
        if loss_mask is not None:
            self._masks[split].add(loss_mask, lengths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as closing:
            for file in (*self._tokens.values(), *self._masks.values()):
                closing.callback(file.close)
