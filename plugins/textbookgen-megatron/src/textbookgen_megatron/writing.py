"""Writes token files with Megatron-core's own builder, in a process beside the host's, which thus needs no torch.

The host encodes while this process writes; between them goes a plain stream of batches (see `HEADER`).
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from textbookgen.errors import RunError
from textbookgen_megatron.shards import SPLITS, Split

if TYPE_CHECKING:
    import numpy as np

#: One batch: which split, how many documents, how many tokens. Then int32 lengths, int32 tokens and, with a mask, one
#: byte a token that says whether it is learned.
HEADER = struct.Struct("<III")


class ShardWriter:
    """Sends documents to the writing process; on leaving, waits until every file is whole."""

    def __init__(self, folder: Path, vocabulary: int, *, masked: bool) -> None:
        self.masked = masked
        self._batches: dict[Split, tuple[list[list[int]], list[list[int]]]] = {split: ([], []) for split in SPLITS}
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "textbookgen_megatron.writing", str(folder), str(vocabulary), str(int(masked))],
            stdin=subprocess.PIPE,
            stderr=self._complaints,
        )

    def add(self, split: Split, tokens: list[int], learned: list[int]) -> None:
        """Takes one document, and 1 for each token that is learned (read only with a mask); `flush` sends it."""
        documents, marks = self._batches[split]
        documents.append(tokens)
        marks.append(learned)

    def flush(self) -> None:
        """Sends what was added."""
        for number, split in enumerate(SPLITS):
            documents, marks = self._batches[split]
            if documents:
                self._send(_message(number, documents, marks if self.masked else None))
                self._batches[split] = ([], [])

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message)
        except BrokenPipeError:
            self._process.wait()
            raise self._failure() from None

    def _failure(self) -> RunError:
        self._complaints.seek(0)
        last = self._complaints.read().decode(errors="replace").strip().splitlines()[-8:]
        return RunError("\n".join(["the process that writes token files ended early", *last]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        try:
            if kind is None:
                self.flush()
                self._process.stdin.close()
                if self._process.wait():
                    raise self._failure()
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process.stdin.close() if kind is None else _close_quietly(self._process.stdin)
            self._complaints.close()


def _close_quietly(pipe: IO[bytes]) -> None:
    """Closes a pipe whose reader is gone; what was not sent no longer matters."""
    try:
        pipe.close()
    except BrokenPipeError:
        pass


def _message(number: int, documents: list[list[int]], marks: list[list[int]] | None) -> bytes:
    import numpy as np

    lengths = np.fromiter(map(len, documents), np.int32, len(documents))
    tokens = np.fromiter((i for tokens in documents for i in tokens), np.int32, int(lengths.sum()))
    parts = [HEADER.pack(number, len(documents), tokens.size), lengths.tobytes(), tokens.tobytes()]
    if marks is not None:
        parts.append(np.fromiter((each for mark in marks for each in mark), np.uint8, tokens.size).tobytes())
    return b"".join(parts)


def write(stream: IO[bytes], folder: Path, vocabulary: int, masked: bool) -> None:
    """The writing process: documents from the stream into `.bin` and `.idx` files, until the stream ends."""
    import numpy as np

    from textbookgen_megatron.backend.tokens import TokenFiles

    files = {split: TokenFiles(folder / split, vocabulary, masked=masked) for split in SPLITS}
    while header := stream.read(HEADER.size):
        number, documents, tokens = HEADER.unpack(header)
        lengths = np.frombuffer(stream.read(4 * documents), np.int32)
        ids = np.frombuffer(stream.read(4 * tokens), np.int32)
        learned: np.ndarray[Any, Any] | None = np.frombuffer(stream.read(tokens), np.uint8) if masked else None
        files[SPLITS[number]].add(ids, lengths, learned)
    for each in files.values():
        each.close()


if __name__ == "__main__":
    write(sys.stdin.buffer, Path(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3])))
