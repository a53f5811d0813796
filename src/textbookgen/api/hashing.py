"""Hashes that are the same on every machine: of documents, of facts, and of files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_BLOCK, _MAX_HASHED, _SAMPLED_BLOCKS = 2**20, 2**28, 256  # of a content digest: bytes, bytes, and a count


def document_id(*facts: object) -> str:
    """Return the id of a document, 24 hexadecimal digits: a BLAKE2b hash of what makes the document what it is."""
    return hashlib.blake2b("\x1f".join(map(str, facts)).encode(), digest_size=12).hexdigest()


def stable_hash(text: str) -> int:
    """Return a 64-bit hash of a text, uniform over 0 to 2**64 - 1, for reproducible splits and samples."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def content_digest(path: Path) -> str:
    """Return a digest of a file's content for fingerprints: of all of it, or of a file over 256 MiB of 257 blocks of 1 MiB.

    A file is read once, and again when its size or its times have changed.

    Raises:
        OSError: the file cannot be read.
    """
    stat = path.stat()
    return _content_digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _content_digest(path: Path, size: int, *_times: int) -> str:
    """The digest; the times are arguments only so that a file that changes while the program runs is read again."""
    digest = hashlib.blake2b(digest_size=16)
    step = 1 if size <= _MAX_HASHED else size // _SAMPLED_BLOCKS
    with path.open("rb") as content:
        if step == 1:
            while block := content.read(_BLOCK):
                digest.update(block)
        else:
            for number in range(_SAMPLED_BLOCKS):
                content.seek(number * step)
                digest.update(content.read(_BLOCK))
            content.seek(-_BLOCK, 2)
            digest.update(content.read())
    return digest.hexdigest()
