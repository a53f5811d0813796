"""A sample of a corpus as words: the same number of words from each corpus, so that figures can be compared."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from textbookgen import Table
from textbookgen.api.hashing import stable_hash
from textbookgen.api.rows import text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORD = r"[\p{L}\p{N}'\u2019]+"
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that no power of it is zero


def _sampling_hashes(ids: pl.Series, seed: int) -> pl.Series:
    """Return the hash by which each document is ordered for sampling."""
    return pl.Series("hash", [stable_hash(f"{seed}/{id_}") for id_ in ids], pl.UInt64)


@dataclass(frozen=True)
class CorpusSizes:
    """For each document with text, its sampling hash and its number of words."""

    hashes: pl.Series
    words: pl.Series

    @property
    def total_words(self) -> int:
        """Words in the corpus."""
        return int(self.words.sum())


def count_words(table: Table, seed: int) -> CorpusSizes:
    """Read a corpus part by part; 12 bytes per document stay in memory."""
    hashes, words = [pl.Series("hash", [], pl.UInt64)], [pl.Series("words", [], pl.UInt32)]
    for frame in table.frames():
        hashes.append(_sampling_hashes(frame["id"], seed))
        words.append(text_of(frame).str.count_matches(WORD).alias("words"))
    return CorpusSizes(pl.concat(hashes), pl.concat(words))


@dataclass(frozen=True)
class Sample:
    """Documents sampled by a hash of their ids, in the order of the hashes.

    Attributes:
        texts: the documents as a whole.
        words: (n,) uint64, a hash of each word, up to the size of the sample.
        document: (n,) uint32, the position in `texts` of the document that each word is in.
    """

    texts: pl.Series
    words: NDArray[np.uint64]
    document: NDArray[np.uint32]

    def ngrams(self, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Return a hash of each run of n words within a document, and the document's position."""
        import numpy as np

        count = max(0, len(self.words) - n + 1)
        hashes = np.zeros(count, np.uint64)
        for at in range(n):
            hashes = (hashes ^ self.words[at : at + count]) * np.uint64(_FACTOR)
            hashes ^= hashes >> np.uint64(29)
        inside = self.document[:count] == self.document[n - 1 : n - 1 + count]
        return hashes[inside], self.document[:count][inside]


def draw_sample(table: Table, sizes: CorpusSizes, max_words: int, seed: int) -> Sample:
    """Return documents with `max_words` words in total (or the whole corpus), the last one truncated."""
    import numpy as np

    order = np.argsort(sizes.hashes.to_numpy(), kind="stable")
    enough = int(np.searchsorted(np.cumsum(sizes.words.to_numpy()[order]), max_words)) + 1
    limit = int(sizes.hashes.to_numpy()[order[min(enough, len(order)) - 1]]) if len(order) else 0
    selected = []
    for frame in table.frames():
        hashed = frame.select(text=text_of(frame), hash=_sampling_hashes(frame["id"], seed))
        selected.append(hashed.filter(pl.col("hash") <= limit))
    rows = pl.concat(selected).sort("hash")
    words = (
        rows.with_row_index("document")
        .select("document", word=pl.col("text").str.to_lowercase().str.extract_all(WORD))
        .filter(pl.col("word").list.len() > 0)
        .explode("word")
        .head(max_words)
    )
    return Sample(rows["text"], words["word"].hash(0).to_numpy(), words["document"].to_numpy())


def distinct_ngrams(sample: Sample, n: int) -> float:
    """Return distinct-n, the different n-grams per n-gram (Li et al. 2016, arXiv 1510.03055); it falls with sample size."""
    import numpy as np

    hashes, _ = sample.ngrams(n)
    return len(np.unique(hashes)) / len(hashes) if len(hashes) else 0.0


def compression_ratios(sample: Sample) -> tuple[float, float]:
    """Return bytes per compressed byte, by gzip and by zstd with a window of 128 MiB; repetition raises both.

    gzip looks back 32 KiB and compares with published figures (Shaib et al. 2024, arXiv 2403.00553); zstd also detects
    repeated documents that are far apart.
    """
    import zstandard

    settings = zstandard.ZstdCompressionParameters.from_level(9, window_log=27, enable_ldm=True)
    gzip, zstd = zlib.compressobj(6), zstandard.ZstdCompressor(compression_params=settings).compressobj()
    size = gzip_size = zstd_size = 0
    for text in sample.texts:
        data = f"{text}\n".encode()
        size += len(data)
        gzip_size += len(gzip.compress(data))
        zstd_size += len(zstd.compress(data))
    return size / (gzip_size + len(gzip.flush())), size / (zstd_size + len(zstd.flush()))
