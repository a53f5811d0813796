"""Hashes that are the same on every machine: of documents, of facts, and of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


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
