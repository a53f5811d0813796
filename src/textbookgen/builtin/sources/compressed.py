"""Compressed files of sources: read in blocks, so that a few kilobytes that expand to gigabytes cannot fill the memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from textbookgen.api.errors import RunError

#: The largest line, and the largest document, in bytes: what is larger is no document, and would be held in memory whole.
MAX_RECORD_BYTES = 2**28
_BLOCK = 2**20
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
#: What the decompression of a damaged file raises.
DAMAGED = (zstandard.ZstdError, zlib.error, EOFError, gzip.BadGzipFile)
_HINT = "a source reads one document per line, row, file or paragraph: divide the file, or leave it out"


def read_at_most(file: Path, limit: int) -> bytes | None:
    """Return the content of a file, decompressed if it is as `blocks` does; None if it has more than `limit` bytes."""
    content = b""
    for block in blocks(file):
        content += block
        if len(content) > limit:
            return None
    return content


def check_lines(file: str, limit: int | None = None) -> None:
    """Refuse a compressed file with a line that is too long, before anything reads it; other files are not opened.

    Args:
        file: a local file in a format that polars decompresses: gzip, zlib or zstd.
        limit: the largest number of bytes of a line; `MAX_RECORD_BYTES` by default.

    Raises:
        RunError: a line is longer; the file cannot be decompressed.
    """
    limit = MAX_RECORD_BYTES if limit is None else limit
    if not _is_compressed(Path(file)):
        return
    length, line = 0, 1
    try:
        for block in blocks(Path(file)):
            end = block.find(b"\n")
            if length + (len(block) if end < 0 else end) > limit:
                raise too_large(file, f"line {line:,}", limit)
            length = length + len(block) if end < 0 else len(block) - block.rfind(b"\n") - 1
            line += block.count(b"\n")
    except DAMAGED as error:
        raise RunError(f"cannot read '{file}': {error}", place="path", hint="the file is damaged or incomplete") from error


def too_large(file: str, what: str, limit: int) -> RunError:
    """Return the error about a line or a document that is too large."""
    return RunError(f"{what} of '{file}' has more than {limit / 2**20:,.0f} MiB", place="path", hint=_HINT)


def blocks(file: Path) -> Iterator[bytes]:
    """Yield the content of a file in blocks of at most 1 MiB, decompressed if it is in the format of gzip, zlib or zstd."""
    with file.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        if start.startswith(_ZSTD):
            stream: BinaryIO = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        elif start.startswith(_GZIP):
            stream = gzip.open(raw)  # type: ignore[assignment]  # noqa: SIM115  (it closes nothing)
        elif start.startswith(_ZLIB):
            yield from _zlib_blocks(raw)
            return
        else:
            stream = raw
        while block := stream.read(_BLOCK):
            yield block


def _is_compressed(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(4).startswith((_ZSTD, _GZIP, *_ZLIB))


def _zlib_blocks(raw: BinaryIO) -> Iterator[bytes]:
    stream = zlib.decompressobj()
    while not stream.eof and (waiting := stream.unconsumed_tail or raw.read(_BLOCK)):
        if block := stream.decompress(waiting, _BLOCK):
            yield block
    if not stream.eof:
        raise EOFError("the compressed data end before their end mark")
