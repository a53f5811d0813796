"""The compiled loops of deduplication: documents chained by band, and those that are alike found along the chains."""

from __future__ import annotations

from typing import Any

import numpy as np

from textbookgen_minhash.kernels import compiled

NONE = np.uint32(0xFFFFFFFF)


@compiled
def insert(bands: Any, d: Any, heads: Any, following: Any) -> None:
    """Puts document `d` of the block `bands` at the head of its chain in each band."""
    mask = np.uint32(heads.shape[1] - 1)
    for band in range(bands.shape[1]):
        slot = bands[d, band] & mask
        following[d, band] = heads[band, slot]
        heads[band, slot] = np.uint32(d)


@compiled
def index_all(bands: Any, heads: Any, following: Any) -> None:
    """Puts every document of a block into its chains."""
    for d in range(len(bands)):
        insert(bands, d, heads, following)


@compiled
def _alike(one: Any, other: Any) -> Any:
    """How many of two signatures' bytes are equal."""
    same = 0
    for p in range(len(one)):
        same += one[p] == other[p]
    return same


@compiled
def mark(
    bands: Any,
    signs: Any,
    low: Any,
    index_bands: Any,
    index_signs: Any,
    index_low: Any,
    heads: Any,
    following: Any,
    least: Any,
    seen: Any,
    marked: Any,
) -> None:
    """Marks each document of a block that another one in the index resembles, going by their signatures.

    `low` and `index_low` are the blocks' first documents; `seen` remembers for whom a document was last looked at.
    """
    mask = np.uint32(heads.shape[1] - 1)
    for q in range(len(bands)):
        if marked[low + q]:
            continue
        for band in range(bands.shape[1]):
            value = bands[q, band]
            d = heads[band, value & mask]
            while d != NONE:
                if index_bands[d, band] == value and seen[d] != low + q and index_low + d != low + q:
                    seen[d] = low + q
                    if _alike(signs[q], index_signs[d]) >= least:
                        marked[low + q] = True
                        break
                d = following[d, band]
            if marked[low + q]:
                break


@compiled
def jaccard(one: Any, other: Any, threshold: Any) -> Any:
    """The Jaccard index of two sorted sets, or 0 as soon as it cannot reach the threshold."""
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
def settle(
    bands: Any,
    signs: Any,
    low: Any,
    index_bands: Any,
    index_signs: Any,
    index_low: Any,
    heads: Any,
    following: Any,
    least: Any,
    seen: Any,
    sets: Any,
    spans: Any,
    index_sets: Any,
    index_spans: Any,
    threshold: Any,
    original: Any,
    similarity: Any,
    offset: Any,
    inserting: Any,
) -> None:
    """Finds for each document of a block the first kept one in the index whose true Jaccard index reaches the threshold.

    `original` gets its place in the index plus `offset`. With `inserting`, the block is the index: a document without such
    an original is kept and joins it at once.
    """
    mask = np.uint32(heads.shape[1] - 1)
    found = np.empty(len(index_bands), np.uint32)
    for q in range(len(bands)):
        here = low + q
        if original[here] != NONE:
            continue
        n = 0
        for band in range(bands.shape[1]):
            value = bands[q, band]
            d = heads[band, value & mask]
            while d != NONE:
                if index_bands[d, band] == value and seen[d] != here:
                    seen[d] = here
                    if _alike(signs[q], index_signs[d]) >= least:
                        found[n] = d
                        n += 1
                d = following[d, band]
        mine = sets[spans[0, here] : spans[1, here]]
        for d in np.sort(found[:n]):
            there = index_low + d
            same = jaccard(mine, index_sets[index_spans[0, there] : index_spans[1, there]], threshold)
            if same >= threshold:
                original[here] = np.uint32(there + offset)
                similarity[here] = same
                break
        if inserting and original[here] == NONE:
            insert(bands, q, heads, following)
