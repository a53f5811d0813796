"""Compiled loops that find the n-grams of benchmarks in documents.

Integers are unsigned and wrap around: an operand that is not of the same unsigned type would turn them into floats, which
is why constants are typed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from textbookgen_dedup.jit import compiled

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is zero
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)
_ZERO, _ONE, _THREE, _SEVEN = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(7)


@compiled
def _power(exponent: Any) -> Any:
    power = _ONE
    for _ in range(exponent):
        power *= _BASE
    return power


@compiled
def hash_ngrams(words: NDArray[np.uint64], size: int, out: NDArray[np.uint64]) -> int:
    """Write the hash of each run of `size` words, or of all words if there are fewer.

    Returns:
        The number of hashes: `max(1, len(words) - size + 1)`, or 0 without a word.
    """
    n = len(words)
    if n == 0:
        return 0
    length = min(size, n)
    power = _power(length)
    rolling = _ZERO
    for i in range(n):
        rolling = rolling * _BASE + words[i]
        if i >= length:
            rolling -= words[i - length] * power
        if i >= length - 1:
            value = (rolling ^ (rolling >> _SHIFT)) * _FACTOR
            out[i - length + 1] = value ^ (value >> _SHIFT)
    return n - length + 1


@compiled
def fill_table(hashes: NDArray[np.uint64], slots: NDArray[np.uint64], bitmap: NDArray[np.uint8]) -> None:
    """Insert hashes into an open-addressing table and its bitmap.

    Args:
        hashes: the hashes, none of them zero.
        slots: output, zeros; a power of two that exceeds the number of hashes.
        bitmap: output, zeros; one bit for each value of a hash's low bits, small enough for the processor's cache.
    """
    mask, bits = np.uint64(len(slots) - 1), np.uint64(len(bitmap) * 8 - 1)
    for value in hashes:
        slot = value & mask
        while slots[slot] != _ZERO and slots[slot] != value:
            slot = (slot + _ONE) & mask
        slots[slot] = value
        bit = value & bits
        bitmap[bit >> _THREE] |= np.uint8(1) << (bit & _SEVEN)


@compiled
def find_ngrams(
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
    slots: NDArray[np.uint64],
    bitmap: NDArray[np.uint8],
    hits: NDArray[np.int64],
    hashes: NDArray[np.uint64],
) -> int:
    """Write every n-gram of one of the `sizes` whose hash is in the table.

    Args:
        words: hashes of the words of all documents, end to end.
        ends: (n,) where each document ends in `words`.
        sizes: words in an n-gram.
        slots: the table.
        bitmap: its bitmap.
        hits: (3, capacity) output: document, position of the first word in it, and size.
        hashes: (capacity,) output.

    Returns:
        The number of hits. If it is larger than the capacity, only as many as fit were written.
    """
    longest = low = 0
    for d in range(len(ends)):
        longest = max(longest, ends[d] - low)
        low = ends[d]
    ngrams = np.empty(longest, np.uint64)
    mask, bits = np.uint64(len(slots) - 1), np.uint64(len(bitmap) * 8 - 1)
    count = low = 0
    for d in range(len(ends)):
        for size in sizes:
            if ends[d] - low < size:
                continue
            for i in range(hash_ngrams(words[low : ends[d]], size, ngrams)):
                bit = ngrams[i] & bits
                if not bitmap[bit >> _THREE] & (np.uint8(1) << (bit & _SEVEN)):
                    continue
                slot = ngrams[i] & mask
                while slots[slot] != _ZERO and slots[slot] != ngrams[i]:
                    slot = (slot + _ONE) & mask
                if slots[slot] == ngrams[i]:
                    if count < len(hashes):
                        hits[0, count], hits[1, count], hits[2, count], hashes[count] = d, i, size, ngrams[i]
                    count += 1
        low = ends[d]
    return count
