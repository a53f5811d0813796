"""Which documents are held out for validation: decided by the id of each alone, and alike in shards and exports."""

from __future__ import annotations

from textbookgen.api.hashing import stable_hash

#: Hashes are below this.
HASHES = 2**64


def validation_hash(document: str, seed: int = 0) -> int:
    """Return the hash by which a document is held out, from 0 to 2**64 - 1."""
    return stable_hash(f"{seed}\x1f{document}")


def is_held_out(document: str, share: float, seed: int = 0) -> bool:
    """Whether a document is held out.

    A larger share holds out the same documents and more; documents that are added later move none of the others.

    Args:
        document: its id; of a copy, the id of what it repeats (see `textbookgen.api.artifacts.origin_id`).
        share: share of the documents to hold out.
        seed: another seed holds out others.
    """
    return validation_hash(document, seed) < share * HASHES
