"""MinHash signatures and shingle sets of documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Share of pairs exactly at the threshold that may share no band.
MAX_LOSS = 5e-4


@dataclass(frozen=True)
class MinHashScheme:
    """The parameters of signatures.

    Attributes:
        size: words in a shingle.
        permutations: values in a signature.
        bands: bands of a signature; documents that share one are candidates.
        rows: values in a band.
    """

    size: int
    permutations: int
    bands: int
    rows: int

    @classmethod
    def for_threshold(
        cls, threshold: float, size: int, permutations: int, bands: int | None = None, rows: int | None = None
    ) -> MinHashScheme:
        """Return the scheme with the longest bands that loses at most `MAX_LOSS` of the pairs at the threshold.

        If `bands` and `rows` are given, they are used instead.
        """
        if bands and rows:
            return cls(size, permutations, bands, rows)
        schemes = (cls(size, permutations, permutations // rows, rows) for rows in range(permutations, 0, -1))
        sensitive = (scheme for scheme in schemes if scheme.candidate_probability(threshold) >= 1 - MAX_LOSS)
        return next(sensitive, cls(size, permutations, permutations, 1))

    def candidate_probability(self, jaccard: float) -> float:
        """Return the probability that a pair of this Jaccard index shares a band.

        Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
        """
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


@lru_cache(maxsize=4)
def datasketch_permutations(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return multipliers and offsets of datasketch's `a * h + b mod 2**32`: signatures then equal those of `MinHash(count)`."""
    from datasketch import MinHash  # type: ignore[import-untyped]

    a, b = MinHash(num_perm=count, scheme="affine32").permutations
    return a, b


def sketch_texts(ids: pl.Series, texts: pl.Series, scheme: MinHashScheme) -> pl.DataFrame:
    """Return one row per document.

    Returns:
        `id`; `exact`, two uint64 that identify the words in order; `words`, their number; and `signature`, an array of
        `scheme.permutations` uint32.
    """
    import numpy as np

    from textbookgen_dedup import kernels
    from textbookgen_dedup.text.word_bytes import word_batches

    a, b = datasketch_permutations(scheme.permutations)
    signatures = np.full((len(texts), scheme.permutations), 0xFFFFFFFF, np.uint32)
    exact, counts = np.empty((len(texts), 2), np.uint64), np.empty(len(texts), np.uint32)
    for rows, words in word_batches(texts):
        arrays = words.packed, words.starts, words.source.data, words.source.starts
        kernels.compute_signatures(*arrays, scheme.size, a, b, signatures[rows], exact[rows], counts[rows])
    columns: dict[str, Any] = {
        "id": ids,
        "exact": pl.Series(exact, dtype=pl.Array(pl.UInt64, 2)),
        "words": pl.Series(counts),
        "signature": pl.Series(signatures, dtype=pl.Array(pl.UInt32, scheme.permutations)),
    }
    return pl.DataFrame(columns)


def hash_bands(signatures: NDArray[np.uint32], scheme: MinHashScheme) -> NDArray[np.uint32]:
    """Return the band hashes of signatures, (n, scheme.bands) uint32."""
    import numpy as np

    from textbookgen_dedup import kernels

    bands = np.empty((len(signatures), scheme.bands), np.uint32)
    kernels.hash_bands(np.ascontiguousarray(signatures), scheme.rows, bands)
    return bands


def shingle_set_batches(texts: pl.Series, size: int) -> Iterator[tuple[slice, NDArray[np.uint64], NDArray[np.int64]]]:
    """Yield the shingle sets of some texts at a time.

    Yields:
        The rows; the sorted sets of 64-bit shingle hashes end to end; and where each set ends. The arrays are valid until
        the next batch.
    """
    import numpy as np

    from textbookgen_dedup import kernels
    from textbookgen_dedup.text.word_bytes import word_batches

    for rows, words in word_batches(texts):
        hashes, ends = np.empty(int(words.starts[-1]) // 2 + len(words) + 1, np.uint64), np.empty(len(words), np.int64)
        kernels.hash_shingles(words.packed, words.starts, size, hashes, ends)
        low = 0
        for high in ends.tolist():
            hashes[low:high].sort()
            low = high
        yield rows, hashes[: kernels.remove_repeats(hashes, ends)], ends


def shingle_sets(texts: pl.Series, size: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the sorted sets of 64-bit shingle hashes of all texts end to end, and where each set ends."""
    import numpy as np

    values, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for _, hashes, ends in shingle_set_batches(texts, size):
        values.append(hashes.copy())
        sizes.append(np.diff(ends, prepend=0))
    return np.concatenate(values), np.cumsum(np.concatenate(sizes))
