"""MinHash sketches: the size of a scheme, datasketch's permutations, and a signature for each document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen_dedup.text.words import in_slices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Share of pairs exactly at the threshold that no band may bring together.
LOST = 5e-4


@dataclass(frozen=True)
class Scheme:
    """How documents are sketched: shingles of `size` words, `permutations` values, `bands` of `rows` of them."""

    size: int
    permutations: int
    bands: int
    rows: int

    def found(self, jaccard: float) -> float:
        """The probability that a pair of this Jaccard index shares a band (Leskovec, Rajaraman and Ullman, section 3.4)."""
        return float(1 - (1 - jaccard**self.rows) ** self.bands)


def scheme_for(threshold: float, size: int, permutations: int, bands: int | None = None, rows: int | None = None) -> Scheme:
    """The scheme with the longest bands that still bring together all but `LOST` of the pairs at the threshold."""
    if bands and rows:
        return Scheme(size, permutations, bands, rows)
    fitting = (Scheme(size, permutations, permutations // rows, rows) for rows in range(permutations, 0, -1))
    return next(
        (scheme for scheme in fitting if scheme.found(threshold) >= 1 - LOST), Scheme(size, permutations, permutations, 1)
    )


@lru_cache(maxsize=4)
def permutations_of(many: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """datasketch's affine permutations `a * h + b mod 2**32`, so that signatures are those of `MinHash(many)`."""
    from datasketch import MinHash  # type: ignore[import-untyped]

    a, b = MinHash(num_perm=many, scheme="affine32").permutations
    return a, b


def sketch(ids: pl.Series, texts: pl.Series, scheme: Scheme) -> pl.DataFrame:
    """One row a document: `id`, `exact` (16 bytes that tell its words in order), `words` (their number), `signature`."""
    import numpy as np

    from textbookgen_dedup.lsh import kernels

    a, b = permutations_of(scheme.permutations)
    signatures = np.full((len(texts), scheme.permutations), 0xFFFFFFFF, np.uint32)
    exact, counts = np.empty((len(texts), 2), np.uint64), np.empty(len(texts), np.uint32)
    for rows, laid in in_slices(texts):
        words = laid.eights, laid.starts, laid.raw.data, laid.raw.starts
        kernels.sketch(*words, scheme.size, a, b, signatures[rows], exact[rows], counts[rows])
    columns: dict[str, Any] = {
        "id": ids,
        "exact": pl.Series(exact, dtype=pl.Array(pl.UInt64, 2)),
        "words": pl.Series(counts),
        "signature": pl.Series(signatures, dtype=pl.Array(pl.UInt32, scheme.permutations)),
    }
    return pl.DataFrame(columns)


def shingle_slices(texts: pl.Series, size: int) -> Iterator[tuple[slice, NDArray[np.uint64], NDArray[np.int64]]]:
    """The sorted sets of 64-bit shingle hashes of some texts at a time, end to end, and where each ends."""
    import numpy as np

    from textbookgen_dedup.lsh import kernels

    for rows, laid in in_slices(texts):
        room, ends = np.empty(int(laid.starts[-1]) // 2 + len(laid) + 1, np.uint64), np.empty(len(laid), np.int64)
        kernels.shingle(laid.eights, laid.starts, size, room, ends)
        low = 0
        for high in ends.tolist():
            room[low:high].sort()
            low = high
        yield rows, room[: kernels.unique(room, ends)], ends


def shingle_sets(texts: pl.Series, size: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The sorted set of 64-bit shingle hashes of each text, end to end, and where each ends."""
    import numpy as np

    found, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for _, values, ends in shingle_slices(texts, size):
        found.append(values.copy())
        sizes.append(np.diff(ends, prepend=0))
    return np.concatenate(found), np.cumsum(np.concatenate(sizes))
