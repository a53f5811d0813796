"""Compiled loops over signatures and shingle sets: pairs within bands, hash chains by band, and exact verification.

Arrays are grouped in named tuples, which numba takes apart without cost. Rows are uint32; `NONE` means no row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textbookgen_dedup.jit import compiled

NONE = np.uint32(0xFFFFFFFF)
_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


class SignatureBlock(NamedTuple):
    """What is compared of n signatures before their texts are.

    Attributes:
        bands: (n, bands) uint32, a hash of each band.
        low_bytes: (n, permutations) uint8, the low byte of each value.
    """

    bands: NDArray[np.uint32]
    low_bytes: NDArray[np.uint8]


class SetBlock(NamedTuple):
    """Sorted shingle sets: set `i` is `values[spans[0, i] : spans[1, i]]`.

    Attributes:
        values: uint64, the sets one after the other.
        spans: (2, n) int64, where each set begins and ends.
    """

    values: NDArray[np.uint64]
    spans: NDArray[np.int64]


class DocumentBlock(NamedTuple):
    """Consecutive documents in memory: the number of the first, their signatures, and their shingle sets."""

    first: int
    signatures: SignatureBlock
    sets: SetBlock


class BandChains(NamedTuple):
    """A hash table for each band of a block of n documents, in which documents of one slot form a chain.

    Attributes:
        heads: (bands, slots) uint32, the last document that joined each chain; the number of slots is a power of two.
        previous: (n, bands) uint32, the document that joined before.
        last_query: (n,) uint32, the query that a document was last compared with, so that no pair is compared twice.
    """

    heads: NDArray[np.uint32]
    previous: NDArray[np.uint32]
    last_query: NDArray[np.uint32]

    @classmethod
    def empty(cls, documents: int, bands: int) -> BandChains:
        """Return chains that no document has joined."""
        slots = 1 << max(4, (max(1, documents) - 1).bit_length())
        heads = np.full((bands, slots), NONE, np.uint32)
        return cls(heads, np.empty((documents, bands), np.uint32), np.full(documents, NONE, np.uint32))


@compiled
def _insert(bands: NDArray[np.uint32], d: Any, chains: BandChains) -> None:
    """Append document `d` to its chain in each band."""
    mask = np.uint32(chains.heads.shape[1] - 1)
    for band in range(bands.shape[1]):
        slot = bands[d, band] & mask
        chains.previous[d, band] = chains.heads[band, slot]
        chains.heads[band, slot] = np.uint32(d)


@compiled
def insert_all(bands: NDArray[np.uint32], chains: BandChains) -> None:
    """Append every document of a block, (n, bands) uint32, to its chains."""
    for d in range(len(bands)):
        _insert(bands, d, chains)


@compiled
def _count_equal(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Any:
    equal = 0
    for p in range(len(one)):
        equal += one[p] == other[p]
    return equal


@compiled
def link_equal(exact: NDArray[np.uint64], order: NDArray[np.int64], original: NDArray[np.uint32]) -> None:
    """Write for each document the first one with the same hash.

    Args:
        exact: (n, 2) hashes.
        order: (n,) documents, equal ones adjacent and in order of precedence.
        original: (n,) output, `NONE` where there is no earlier equal document.
    """
    for i in range(1, len(order)):
        one, before = order[i], order[i - 1]
        if exact[one, 0] == exact[before, 0] and exact[one, 1] == exact[before, 1]:
            original[one] = np.uint32(before) if original[before] == NONE else original[before]


@compiled
def pair_up(
    entries: NDArray[np.uint64],
    at: int,
    max_group: int,
    marked: NDArray[np.bool_],
    pairs: NDArray[np.uint64],
    filled: int,
) -> tuple[int, int]:
    """Write the pairs of documents with the same band hash, unless both are marked; mark all of a group that is too large.

    Args:
        entries: sorted, with band hashes in the upper and rows in the lower half.
        at: the entry to start from, the first of its hash.
        max_group: documents with the same hash that are still paired.
        marked: (documents,) input and output.
        pairs: output, one row in each half.
        filled: pairs already in `pairs`.

    Returns:
        The entry to resume from when `pairs` is full (or the number of entries), and the number of pairs.
    """
    while at < len(entries):
        until = at + 1
        while until < len(entries) and (entries[until] ^ entries[at]) <= _LOW_32:
            until += 1
        group = until - at
        if group > max_group:
            for i in range(at, until):
                marked[entries[i] & _LOW_32] = True
        elif group > 1:
            if filled + group * (group - 1) // 2 > len(pairs):
                return at, filled
            for i in range(at, until):
                one = entries[i] & _LOW_32
                for j in range(i + 1, until):
                    other = entries[j] & _LOW_32
                    if not (marked[one] and marked[other]):
                        pairs[filled] = (one << _SHIFT) | other
                        filled += 1
        at = until
    return at, filled


@compiled
def mark_similar(
    pairs: NDArray[np.uint64],
    low_bytes: NDArray[np.uint8],
    first: int,
    other_low_bytes: NDArray[np.uint8],
    other_first: int,
    min_equal: int,
    marked: NDArray[np.bool_],
) -> None:
    """Mark both documents of each pair whose signatures have at least `min_equal` equal bytes.

    `low_bytes` holds the documents from `first` on, to which the upper halves of the pairs refer; the others are those of
    the lower halves.
    """
    for i in range(len(pairs)):
        one, other = np.int64(pairs[i] >> _SHIFT), np.int64(pairs[i] & _LOW_32)
        if marked[one] and marked[other]:
            continue
        if _count_equal(low_bytes[one - first], other_low_bytes[other - other_first]) >= min_equal:
            marked[one] = True
            marked[other] = True


@compiled
def find_similar_pairs(
    queries: SignatureBlock, indexed: SignatureBlock, chains: BandChains, min_equal: int, pairs: NDArray[np.uint64]
) -> int:
    """Write the pairs of an indexed document (upper half) and a query (lower half) that are similar by signature.

    Returns:
        The number of pairs. If it is larger than `pairs`, only as many as fit were written.
    """
    mask, count = np.uint32(chains.heads.shape[1] - 1), 0
    for q in range(len(queries.bands)):
        for band in range(queries.bands.shape[1]):
            value = queries.bands[q, band]
            d = chains.heads[band, value & mask]
            while d != NONE:
                if indexed.bands[d, band] == value and chains.last_query[d] != q:
                    chains.last_query[d] = q
                    if _count_equal(queries.low_bytes[q], indexed.low_bytes[d]) >= min_equal:
                        if count < len(pairs):
                            pairs[count] = (np.uint64(d) << _SHIFT) | np.uint64(q)
                        count += 1
                d = chains.previous[d, band]
    return count


@compiled
def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64], threshold: float) -> float:
    """Return the Jaccard index of two sorted sets, or 0 as soon as it cannot reach the threshold."""
    n, m = len(one), len(other)
    if min(n, m) < threshold * max(n, m) or n == 0 or m == 0:
        return 0.0
    misses = n + m - 2.0 * threshold / (1.0 + threshold) * (n + m) + 1e-6  # elements of either that the other may lack
    i = j = common = 0
    while i < n and j < m and misses >= 0:
        x, y = one[i], other[j]
        if x == y:
            common += 1
            i += 1
            j += 1
        else:
            misses -= 1
            i += x < y
            j += y < x
    return common / (n + m - common) if misses >= 0 else 0.0


@compiled
def match_block(
    queries: DocumentBlock,
    indexed: DocumentBlock,
    chains: BandChains,
    min_equal: int,
    threshold: float,
    original: NDArray[np.uint32],
    similarity: NDArray[np.float64],
    inserting: bool,
) -> None:
    """Find for each query the first kept document of the index whose true Jaccard index reaches the threshold.

    Args:
        queries: the documents to match, skipped where they already have an original.
        indexed: the documents that `chains` refers to.
        chains: the kept documents of `indexed` by band.
        min_equal: bytes in which signatures must agree for their sets to be compared.
        threshold: Jaccard index from which a document is a copy.
        original: (documents,) output by number of the document: the number of its original.
        similarity: (documents,) output, the Jaccard index with it.
        inserting: `queries` is `indexed`, and a query without an original is kept: it joins the chains at once.
    """
    mask = np.uint32(chains.heads.shape[1] - 1)
    matches = np.empty(len(indexed.signatures.bands), np.uint32)
    bands, indexed_bands = queries.signatures.bands, indexed.signatures.bands
    low_bytes, indexed_low_bytes = queries.signatures.low_bytes, indexed.signatures.low_bytes
    for q in range(len(bands)):
        document = queries.first + q
        if original[document] != NONE:
            continue
        n = 0
        for band in range(bands.shape[1]):
            value = bands[q, band]
            d = chains.heads[band, value & mask]
            while d != NONE:
                if indexed_bands[d, band] == value and chains.last_query[d] != document:
                    chains.last_query[d] = document
                    if _count_equal(low_bytes[q], indexed_low_bytes[d]) >= min_equal:
                        matches[n] = d
                        n += 1
                d = chains.previous[d, band]
        shingles = queries.sets.values[queries.sets.spans[0, q] : queries.sets.spans[1, q]]
        for d in np.sort(matches[:n]):
            others = indexed.sets.values[indexed.sets.spans[0, d] : indexed.sets.spans[1, d]]
            index = jaccard(shingles, others, threshold)
            if index >= threshold:
                original[document] = np.uint32(indexed.first + d)
                similarity[document] = index
                break
        if inserting and original[document] == NONE:
            _insert(bands, q, chains)


@compiled
def verify_pairs(
    pairs: NDArray[np.uint64],
    queries: SetBlock,
    known: SetBlock,
    threshold: float,
    original: NDArray[np.uint32],
    similarity: NDArray[np.float64],
) -> None:
    """Write for each query the first known document whose true Jaccard index reaches the threshold.

    Args:
        pairs: sorted, with a query in the upper and a known document in the lower half.
        queries: shingle sets of the queries.
        known: shingle sets of the known documents.
        threshold: Jaccard index from which a query is a copy.
        original: (queries,) output.
        similarity: (queries,) output, the Jaccard index with the original.
    """
    for i in range(len(pairs)):
        q, d = np.int64(pairs[i] >> _SHIFT), np.int64(pairs[i] & _LOW_32)
        if original[q] == NONE:
            others = known.values[known.spans[0, d] : known.spans[1, d]]
            index = jaccard(queries.values[queries.spans[0, q] : queries.spans[1, q]], others, threshold)
            if index >= threshold:
                original[q], similarity[q] = np.uint32(d), index
