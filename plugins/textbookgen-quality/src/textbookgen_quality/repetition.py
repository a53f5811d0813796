"""Compiled loops that measure repetition: the n-grams of words that a text repeats. The only module that imports numba.

Integers are unsigned and wrap around: an operand that is not of the same unsigned type would turn them into floats, which
is why constants are typed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial over the hashes of words; odd
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_SHIFT, _ZERO = np.uint64(32), np.uint64(0)

#: Sizes of n-grams of which the most frequent one counts, and of which all repeated ones count (Gopher, table A1).
TOP_SIZES, DUPLICATE_SIZES = (2, 3, 4), (5, 6, 7, 8, 9, 10)

Function = TypeVar("Function", bound=Callable[..., object])


def _compiled(function: Function) -> Function:
    """Compile a function on its first call, and cache the machine code on disk where numba finds a writable folder."""
    try:
        return cast("Function", njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # numba found no folder that it may write to
        return cast("Function", njit(nogil=True, error_model="numpy")(function))


@_compiled
def _hash_words(data: NDArray[np.uint8], low: Any, high: Any, hashes: NDArray[np.uint64], sizes: NDArray[np.int64]) -> Any:
    """Write the hash of each word, with ASCII letters as lower-case, and its number of characters; return the word count."""
    n, size, value = 0, 0, _ZERO
    for i in range(low, high + 1):
        byte = data[i] if i < high else np.uint8(32)
        lower = np.uint8(byte | np.uint8(32))
        letter = np.uint8(lower - np.uint8(97)) < np.uint8(26)
        if letter or np.uint8(byte - np.uint8(48)) < np.uint8(10) or byte == np.uint8(95) or byte >= np.uint8(128):
            value = (value ^ np.uint64(lower if letter else byte)) * _FACTOR
            value ^= value >> _SHIFT
            size += (byte & np.uint8(0xC0)) != np.uint8(0x80)  # bytes that continue a character are not counted
        elif size:
            hashes[n], sizes[n] = value, size
            n, size, value = n + 1, 0, _ZERO
    return n


@_compiled
def _table_size(entries: Any) -> Any:
    """Return the smallest power of two, from 16 on, that is at least `entries`."""
    power = 16
    while power < entries:
        power *= 2
    return power


@_compiled
def _find_first_equal(ngrams: NDArray[np.uint64], n: Any, slots: NDArray[np.int64], first: NDArray[np.int64]) -> None:
    """Write for each of n n-grams the index of the first equal one; `slots` is a hash table of at least twice the size."""
    mask = np.uint64(len(slots) - 1)
    slots[:] = -1
    for i in range(n):
        slot = (ngrams[i] * _BASE >> _SHIFT) & mask
        while slots[slot] >= 0 and ngrams[slots[slot]] != ngrams[i]:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i
        first[i] = slots[slot]


@_compiled
def repeated_shares(data: NDArray[np.uint8], starts: NDArray[np.int64], longest: int, out: NDArray[np.float64]) -> None:
    """Compute the shares of each text's word characters that lie in repeated n-grams.

    For 2- to 4-grams it is the most frequent n-gram, all its occurrences together; for 5- to 10-grams it is all n-grams that
    occurred earlier in the text, with each word counted once. A repeated n-gram begins with a repeated shorter one, so only
    positions of repeated n-grams are examined for the next size.

    Args:
        data: UTF-8 bytes of all texts, with one byte between them that belongs to no word.
        starts: (n + 1,) first byte of each text.
        longest: bytes in the longest text.
        out: (n, 9) output, a column for each size from 2 to 10.
    """
    capacity = longest // 2 + 2
    words, sizes, until = np.empty(capacity, np.uint64), np.empty(capacity, np.int64), np.empty(capacity + 1, np.int64)
    ngrams, first, places = np.empty(capacity, np.uint64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    counts, table = np.empty(capacity, np.int64), np.empty(_table_size(2 * capacity), np.int64)
    for d in range(len(starts) - 1):
        n_words = _hash_words(data, starts[d], starts[d + 1] - 1, words, sizes)
        out[d, :] = 0.0
        if n_words == 0:
            continue
        until[0] = 0
        for i in range(n_words):
            until[i + 1], places[i], ngrams[i] = until[i] + sizes[i], i, words[i]
        left = n_words
        for n in range(2, 11):
            kept = 0
            for i in range(left):
                if places[i] + n <= n_words:
                    places[kept], ngrams[kept] = places[i], ngrams[i] * _BASE + words[places[i] + n - 1]
                    kept += 1
            _find_first_equal(ngrams, kept, table[: _table_size(2 * kept)], first)
            counts[:kept] = 0
            for i in range(kept):
                counts[first[i]] += 1
            if n < 5:
                top = 0
                for i in range(kept):
                    if counts[i] > 1:
                        top = max(top, counts[i] * (until[places[i] + n] - until[places[i]]))
                out[d, n - 2] = top / until[n_words]
            else:
                covered = reached = 0
                for i in range(kept):
                    if first[i] != i:
                        covered += until[places[i] + n] - until[max(places[i], reached)]
                        reached = places[i] + n
                out[d, n - 2] = covered / until[n_words]
            left = 0
            for i in range(kept):
                if counts[first[i]] > 1:
                    places[left], ngrams[left] = places[i], ngrams[i]
                    left += 1
