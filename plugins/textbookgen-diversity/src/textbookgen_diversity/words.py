"""A sample of a corpus as words: the same number of them from each corpus, so that their figures can be compared."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from textbookgen_dedup.text.words import text_of

from textbookgen import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = r"[\p{L}\p{N}'\u2019]+"
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that no power of it is zero


def place(seed: int | str, key: str) -> int:
    """A number below 2**64 for a name, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Sizes:
    """Of each document that is looked at the hash that orders it and its words."""

    hashes: pl.Series
    words: pl.Series

    @property
    def total(self) -> int:
        """Words in all."""
        return int(self.words.sum())


def sizes(table: Table, seed: int) -> Sizes:
    """One walk over a corpus, a part at a time; 12 bytes a document stay."""
    hashes, words = [pl.Series("hash", [], pl.UInt64)], [pl.Series("words", [], pl.UInt32)]
    for frame in table.frames():
        hashes.append(pl.Series("hash", [place(seed, key) for key in frame["id"]], pl.UInt64))
        words.append(text_of(frame).str.count_matches(WORD).alias("words"))
    return Sizes(pl.concat(hashes), pl.concat(words))


@dataclass(frozen=True)
class Sample:
    """Documents drawn by a hash of their ids, in its order: `texts` whole, and `words` of them, each by a hash.

    `document[i]` is the place of the document that word `i` is in.
    """

    texts: pl.Series
    words: NDArray[np.uint64]
    document: NDArray[np.uint32]

    def grams(self, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """A hash of each run of n words in one document, and the document's place."""
        import numpy as np

        many = max(0, len(self.words) - n + 1)
        keys = np.zeros(many, np.uint64)
        for at in range(n):
            keys = (keys ^ self.words[at : at + many]) * np.uint64(_FACTOR)
            keys ^= keys >> np.uint64(29)
        inside = self.document[:many] == self.document[n - 1 : n - 1 + many]
        return keys[inside], self.document[:many][inside]


def draw(table: Table, known: Sizes, most: int, seed: int) -> Sample:
    """As many documents as have `most` words between them, the last one cut."""
    import numpy as np

    order = np.argsort(known.hashes.to_numpy(), kind="stable")
    enough = int(np.searchsorted(np.cumsum(known.words.to_numpy()[order]), most)) + 1
    limit = int(known.hashes.to_numpy()[order[min(enough, len(order)) - 1]]) if len(order) else 0
    result = []
    for frame in table.frames():
        hashed = frame.select(text=text_of(frame), hash=pl.Series([place(seed, key) for key in frame["id"]], dtype=pl.UInt64))
        result.append(hashed.filter(pl.col("hash") <= limit))
    rows = pl.concat(result).sort("hash")
    words = (
        rows.with_row_index("document")
        .select("document", word=pl.col("text").str.to_lowercase().str.extract_all(WORD))
        .filter(pl.col("word").list.len() > 0)
        .explode("word")
        .head(most)
    )
    return Sample(rows["text"], words["word"].hash(0).to_numpy(), words["document"].to_numpy())


def distinct(sample: Sample, n: int) -> float:
    """Different n-grams for each n-gram (Li et al. 2016, arXiv 1510.03055); it falls with the number of words."""
    import numpy as np

    keys, _ = sample.grams(n)
    return len(np.unique(keys)) / len(keys) if len(keys) else 0.0


def compression(sample: Sample) -> tuple[float, float]:
    """Bytes for each compressed byte, of gzip and of zstd with a window of 128 MiB: the more a corpus repeats, the higher.

    gzip sees 32 KiB back and compares with published figures (Shaib et al. 2024, arXiv 2403.00553); zstd sees documents that
    repeat each other from afar.
    """
    import zstandard

    near, before, packed = zlib.compressobj(6), 0, 0
    settings = zstandard.ZstdCompressionParameters.from_level(9, window_log=27, enable_ldm=True)
    far = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    distant = 0
    for text in sample.texts:
        piece = f"{text}\n".encode()
        before += len(piece)
        packed += len(near.compress(piece))
        distant += len(far.compress(piece))
    packed, distant = packed + len(near.flush()), distant + len(far.flush())
    return before / packed, before / distant
