"""Writes token files in Megatron-core's indexed format: `.bin` of ids, `.idx` of where each document lies in it.

The format is small enough to be written with numpy alone, which spares packing torch's seconds and memory; a test and
`benchmarks/train.py` hold the files to those of Megatron-core's own builder, byte for byte.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from textbookgen.training.shards import SPLITS, Split

if TYPE_CHECKING:
    Ids = np.ndarray[Any, Any]

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
#: Megatron's numbers for the types that are written.
CODES = {"uint8": 1, "int32": 4, "uint16": 8}
#: Documents whose places are worked out at once.
CHUNK = 1 << 20


class TokenFile:
    """A `.bin` and its `.idx` being written, each document a sequence of its own; lengths wait on disk, not in memory."""

    def __init__(self, prefix: Path, dtype: str) -> None:
        self._prefix, self._dtype = prefix, np.dtype(dtype)
        self._waiting = prefix.with_name(f"{prefix.name}.lengths")
        self._tokens = prefix.with_name(f"{prefix.name}.bin").open("wb")
        self._lengths = self._waiting.open("wb")

    def add(self, ids: Ids, lengths: Ids) -> None:
        """Adds documents that lie one after the other in `ids`."""
        self._tokens.write(ids.astype(self._dtype).data)
        self._lengths.write(lengths.astype(np.int32).data)

    def close(self) -> None:
        """Writes the index; the files are whole afterwards."""
        self._tokens.close()
        self._lengths.close()
        count = self._waiting.stat().st_size // 4
        with self._prefix.with_name(f"{self._prefix.name}.idx").open("wb") as index:
            code = CODES[self._dtype.name]
            index.write(struct.pack("<9sQBQQ", MAGIC, VERSION, code, count, count + 1))
            with self._waiting.open("rb") as lengths:
                shutil.copyfileobj(lengths, index)
            for start, item in self._chunks():
                index.write(((np.cumsum(item, dtype=np.int64) - item + start) * self._dtype.itemsize).data)
            for first in range(0, count + 1, CHUNK):
                index.write(np.arange(first, min(first + CHUNK, count + 1), dtype=np.int64).data)
        self._waiting.unlink()

    def _chunks(self) -> Iterator[tuple[int, Ids]]:
        """The lengths, some at a time, each time with how many ids come before."""
        start = 0
        with self._waiting.open("rb") as file:
            while chunk := file.read(4 * CHUNK):
                lengths = np.frombuffer(chunk, np.int32)
                yield start, lengths
                start += int(lengths.sum(dtype=np.int64))


class ShardWriter:
    """The token files of both splits, with a loss mask beside them if there is one; on leaving, every file is whole."""

    def __init__(self, folder: Path, dtype: str, *, masked: bool) -> None:
        self._tokens = {split: TokenFile(folder / split, dtype) for split in SPLITS}
        self._masks = {split: TokenFile(folder / f"{split}.mask", "uint8") for split in SPLITS if masked}

    def add(self, split: Split, documents: list[list[int]], learned: list[list[int]]) -> None:
        """Writes documents, and 1 for each token that is learned (used only with a mask)."""
        lengths = np.fromiter(map(len, documents), np.int32, len(documents))
        total = int(lengths.sum())
        marks = np.fromiter(chain.from_iterable(learned), np.uint8, total) if self._masks else None
        self.stream(split, np.fromiter(chain.from_iterable(documents), np.int32, total), lengths, marks)

    def stream(self, split: Split, tokens: Ids, lengths: Ids, learned: Ids | None = None) -> None:
        """Writes documents that lie one after the other in `tokens`."""
        self._tokens[split].add(tokens, lengths)
        if learned is not None:
            self._masks[split].add(learned, lengths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ExitStack() as closing:
            for item in (*self._tokens.values(), *self._masks.values()):
                closing.callback(item.close)
