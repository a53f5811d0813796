"""The compiled loops of deduplication: documents chained by band, and those that are alike found along the chains."""

from __future__ import annotations

from typing import Any

import numpy as np

from textbookgen_dedup.lsh.kernels import compiled

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
def follow_equal(exact: Any, order: Any, original: Any) -> None:
    """Names for each document the first of those with the same hash; `order` has equal ones side by side."""
    for i in range(1, len(order)):
        one, before = order[i], order[i - 1]
        if exact[one, 0] == exact[before, 0] and exact[one, 1] == exact[before, 1]:
            original[one] = np.uint32(before) if original[before] == NONE else original[before]


@compiled
def pair_up(entries: Any, at: Any, crowd: Any, marked: Any, pairs: Any, filled: Any) -> Any:
    """Writes the pairs of documents that share a value, unless both are marked; marks all of a crowd.

    `entries` is sorted, with values in the upper and places in the lower halves. Returns where it stopped, for want of room
    or at the end, and how many pairs there are.
    """
    place = np.uint64(0xFFFFFFFF)
    while at < len(entries):
        until = at + 1
        while until < len(entries) and (entries[until] ^ entries[at]) <= place:
            until += 1
        many = until - at
        if many > crowd:
            for i in range(at, until):
                marked[entries[i] & place] = True
        elif many > 1:
            if filled + many * (many - 1) // 2 > len(pairs):
                return at, filled
            for i in range(at, until):
                one = entries[i] & place
                for j in range(i + 1, until):
                    other = entries[j] & place
                    if not (marked[one] and marked[other]):
                        pairs[filled] = (one << np.uint64(32)) | other
                        filled += 1
        at = until
    return at, filled


@compiled
def compare(pairs: Any, signs: Any, low: Any, other_signs: Any, other_low: Any, least: Any, marked: Any) -> None:
    """Marks both documents of each pair whose signatures are alike; `low` and `other_low` are the blocks' first."""
    for i in range(len(pairs)):
        one, other = np.int64(pairs[i] >> np.uint64(32)), np.int64(pairs[i] & np.uint64(0xFFFFFFFF))
        if not (marked[one] and marked[other]) and _alike(signs[one - low], other_signs[other - other_low]) >= least:
            marked[one] = True
            marked[other] = True


@compiled
def meet(
    bands: Any, signs: Any, index_bands: Any, index_signs: Any, heads: Any, following: Any, least: Any, seen: Any, pairs: Any
) -> Any:
    """Writes the pairs of a document of the index (upper half) and one of the block (lower) that are alike by signature.

    Returns how many there are, of which no more are written than there is room for.
    """
    mask, result = np.uint32(heads.shape[1] - 1), 0
    for q in range(len(bands)):
        for band in range(bands.shape[1]):
            value = bands[q, band]
            d = heads[band, value & mask]
            while d != NONE:
                if index_bands[d, band] == value and seen[d] != q:
                    seen[d] = q
                    if _alike(signs[q], index_signs[d]) >= least:
                        if result < len(pairs):
                            pairs[result] = (np.uint64(d) << np.uint64(32)) | np.uint64(q)
                        result += 1
                d = following[d, band]
    return result


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
    inserting: Any,
) -> None:
    """Finds for each document of a block the first kept one in the index whose true Jaccard index reaches the threshold.

    `low` and `index_low` are the blocks' first documents. With `inserting`, the block is the index: a document without such
    an original is kept and joins it at once.
    """
    mask = np.uint32(heads.shape[1] - 1)
    result = np.empty(len(index_bands), np.uint32)
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
                        result[n] = d
                        n += 1
                d = following[d, band]
        mine = sets[spans[0, q] : spans[1, q]]
        for d in np.sort(result[:n]):
            same = jaccard(mine, index_sets[index_spans[0, d] : index_spans[1, d]], threshold)
            if same >= threshold:
                original[here] = np.uint32(index_low + d)
                similarity[here] = same
                break
        if inserting and original[here] == NONE:
            insert(bands, q, heads, following)


@compiled
def confirm(
    pairs: Any, sets: Any, spans: Any, known: Any, begins: Any, sizes: Any, threshold: Any, first: Any, like: Any
) -> None:
    """For each document (the upper half of a sorted pair) the first known one (the lower half) that reaches the threshold."""
    for i in range(len(pairs)):
        here, there = np.int64(pairs[i] >> np.uint64(32)), np.int64(pairs[i] & np.uint64(0xFFFFFFFF))
        if first[here] == NONE:
            theirs = known[begins[there] : begins[there] + sizes[there]]
            same = jaccard(sets[spans[0, here] : spans[1, here]], theirs, threshold)
            if same >= threshold:
                first[here], like[here] = np.uint32(there), same
