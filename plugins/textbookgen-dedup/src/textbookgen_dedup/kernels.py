"""Compiled loops from bytes to words, shingles and MinHash signatures.

Integers are unsigned and wrap around: an operand that is not of the same unsigned type would turn them into floats, which
is why constants are typed. numba caches machine code per file, and does not notice a change in another file whose functions
it has inlined: kernels that call each other therefore share this module.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from textbookgen_dedup.jit import compiled

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is zero
_OTHER_BASE = np.uint64(0xD6E8FEB86659FD93)
_FMIX64 = (np.uint64(33), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_FMIX32 = (np.uint32(16), np.uint32(0x85EBCA6B), np.uint32(13), np.uint32(0xC2B2AE35))
_LOW_32 = np.uint64(0xFFFFFFFF)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_HIGH_BITS = np.uint64(0x8080808080808080)
_GATHER = np.uint64(0x0102040810204080)  # a product with it puts the lowest bits of eight bytes side by side at the top


@compiled
def _mix64(x: Any) -> Any:
    """Apply MurmurHash3's 64-bit finalizer: a bijection in which every input bit affects every output bit."""
    x ^= x >> _FMIX64[0]
    x *= _FMIX64[1]
    x ^= x >> _FMIX64[0]
    x *= _FMIX64[2]
    return x ^ (x >> _FMIX64[0])


@compiled
def _mix32(x: Any) -> Any:
    """Apply MurmurHash3's 32-bit finalizer, with which datasketch prepares a hash for its affine permutations."""
    x = np.uint32(x ^ (x >> _FMIX32[0]))
    x = np.uint32(x * _FMIX32[1])
    x = np.uint32(x ^ (x >> _FMIX32[2]))
    x = np.uint32(x * _FMIX32[3])
    return np.uint32(x ^ (x >> _FMIX32[0]))


@compiled
def _load_8_bytes(packed: NDArray[np.uint64], at: Any) -> Any:
    """Return the eight bytes that begin at byte `at`, aligned or not, as one uint64."""
    shift = (at & np.uint64(7)) << np.uint64(3)
    at >>= np.uint64(3)
    return (packed[at] >> shift) | ((packed[at + _ONE] << (np.uint64(63) - shift)) << _ONE)


@compiled
def _nonzero_bytes(eight: Any) -> Any:
    """Return the highest bit of each byte that is not zero."""
    return (((eight & ~_HIGH_BITS) + ~_HIGH_BITS) | eight) & _HIGH_BITS


def _trailing_zeros_intrinsic(context: Any, bits: Any) -> Any:
    """Count the zeros below the lowest set bit, of which there must be one, in one instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


_trailing_zeros: Any = intrinsic(_trailing_zeros_intrinsic)


@compiled
def _find_word_edges(packed: NDArray[np.uint64], low: Any, high: Any, edges: NDArray[np.int64]) -> Any:
    """Write the first byte of each word between bytes `low` and `high` and the byte after it, alternating.

    Sixty-four bytes at a time become one number of a bit each, in which an edge is a bit that differs from the one before.

    Returns:
        The number of edges written, twice the number of words.
    """
    n = 0
    before = _ZERO
    for block in range(low >> 6, (high >> 6) + 1):
        mask = _ZERO
        for part in range(8):
            bits = (_nonzero_bytes(packed[8 * block + part]) >> np.uint64(7)) * _GATHER
            mask |= (bits >> np.uint64(56)) << np.uint64(8 * part)
        if block == low >> 6:
            mask &= ~_ZERO << np.uint64(low & 63)
        if block == high >> 6:
            mask &= (_ONE << np.uint64(high & 63)) - _ONE
        turns = mask ^ (mask << _ONE | before)
        before = mask >> np.uint64(63)
        while turns != _ZERO:
            edges[n] = (block << 6) + np.int64(_trailing_zeros(turns))
            n += 1
            turns &= turns - _ONE
    return n


@compiled
def _hash_words(packed: NDArray[np.uint64], low: Any, high: Any, words: NDArray[np.uint64], edges: NDArray[np.int64]) -> Any:
    """Write the hash of each word between bytes `low` and `high`, and the edges of the words.

    The byte at `high` must not belong to a word. Different words of up to eight bytes have different hashes.

    Returns:
        The number of words.
    """
    n = _find_word_edges(packed, low, high, edges) >> 1
    for i in range(n):
        at, end = np.uint64(edges[2 * i]), np.uint64(edges[2 * i + 1])
        word = _ZERO
        while end - at >= np.uint64(8):
            word = _mix64(word ^ _load_8_bytes(packed, at))
            at += np.uint64(8)
        rest = (end - at) << np.uint64(3)
        words[i] = _mix64(word ^ (_load_8_bytes(packed, at) & ((_ONE << rest) - _ONE)))
    return n


@compiled
def _power(exponent: Any) -> Any:
    power = _ONE
    for _ in range(exponent):
        power *= _BASE
    return power


@compiled
def _hash_ngrams(words: NDArray[np.uint64], n: Any, size: Any, ngrams: NDArray[np.uint64]) -> Any:
    """Write the hash of each run of `size` of the first `n` words, or of all `n` words if there are fewer.

    Returns:
        The number of hashes: `max(1, n - size + 1)`, or 0 without a word.
    """
    if n == 0:
        return 0
    size = min(size, n)
    power = _power(size)
    rolling = _ZERO
    for i in range(n):
        rolling = rolling * _BASE + words[i]
        if i >= size:
            rolling -= words[i - size] * power
        if i >= size - 1:
            ngrams[i - size + 1] = _mix64(rolling)
    return n - size + 1


@compiled
def _update_signature(
    shingles: NDArray[np.uint64], n: Any, a: NDArray[np.uint32], b: NDArray[np.uint32], signature: NDArray[np.uint32]
) -> None:
    """Lower each value of a signature to the minimum of its affine permutation over the first `n` shingles.

    Four shingles at a time, to save loads and stores.
    """
    for i in range(0, n, 4):
        h0 = _mix32(np.uint32(shingles[i] & _LOW_32))
        h1 = _mix32(np.uint32(shingles[min(i + 1, n - 1)] & _LOW_32))
        h2 = _mix32(np.uint32(shingles[min(i + 2, n - 1)] & _LOW_32))
        h3 = _mix32(np.uint32(shingles[min(i + 3, n - 1)] & _LOW_32))
        for p in range(len(a)):
            u = min(np.uint32(a[p] * h0 + b[p]), np.uint32(a[p] * h1 + b[p]))
            v = min(np.uint32(a[p] * h2 + b[p]), np.uint32(a[p] * h3 + b[p]))
            signature[p] = min(signature[p], min(u, v))


@compiled
def _max_words(starts: NDArray[np.int64]) -> Any:
    """Return an upper bound of the number of words in any document."""
    longest = 0
    for d in range(len(starts) - 1):
        longest = max(longest, starts[d + 1] - starts[d])
    return longest // 2 + 1


@compiled
def compute_signatures(
    packed: NDArray[np.uint64],
    starts: NDArray[np.int64],
    source: NDArray[np.uint8],
    source_starts: NDArray[np.int64],
    size: int,
    a: NDArray[np.uint32],
    b: NDArray[np.uint32],
    signatures: NDArray[np.uint32],
    exact: NDArray[np.uint64],
    counts: NDArray[np.uint32],
) -> None:
    """Compute for each document its MinHash signature, two hashes of its words in order, and its number of words.

    Args:
        packed: bytes of words, eight to a number (`WordBytes.packed`).
        starts: (n + 1,) first byte of each document in `packed`.
        source: bytes of the original text, hashed in place of words for documents without a word.
        source_starts: (n + 1,) first byte of each document in `source`.
        size: words in a shingle.
        a: (p,) multipliers of the permutations.
        b: (p,) offsets of the permutations.
        signatures: (n, p) output, filled with 2**32 - 1 by the caller.
        exact: (n, 2) output.
        counts: (n,) output.
    """
    bound = _max_words(starts)
    words = np.empty(bound, np.uint64)
    shingles = np.empty(bound, np.uint64)
    edges = np.empty(2 * bound, np.int64)
    for d in range(len(starts) - 1):
        n = _hash_words(packed, starts[d], starts[d + 1] - 1, words, edges)
        counts[d] = n
        first, second = _ONE, _OTHER_BASE
        for i in range(n):
            first = first * _BASE + words[i]
            second = (second ^ words[i]) * _OTHER_BASE
            second ^= second >> _FMIX64[0]
        if n == 0:  # without a word, only the same characters are a copy
            for i in range(source_starts[d], source_starts[d + 1] - 1):
                first = first * _BASE + np.uint64(source[i])
                second = (second ^ np.uint64(source[i])) * _OTHER_BASE
        exact[d, 0], exact[d, 1] = _mix64(first), _mix64(second)
        _update_signature(shingles, _hash_ngrams(words, n, size, shingles), a, b, signatures[d])


@compiled
def hash_all_words(
    packed: NDArray[np.uint64], starts: NDArray[np.int64], words: NDArray[np.uint64], ends: NDArray[np.int64]
) -> None:
    """Write the hash of every word of all documents end to end; document `d` ends at `words[ends[d]]`.

    `words` must have space for half the bytes of all documents, and one more per document.
    """
    edges = np.empty(2 * _max_words(starts), np.int64)
    at = 0
    for d in range(len(starts) - 1):
        at += _hash_words(packed, starts[d], starts[d + 1] - 1, words[at:], edges)
        ends[d] = at


@compiled
def hash_word_sequences(packed: NDArray[np.uint64], starts: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
    """Write one hash of the words of each document in order; 0 for a document without words."""
    bound = _max_words(starts)
    words, edges = np.empty(bound, np.uint64), np.empty(2 * bound, np.int64)
    for d in range(len(starts) - 1):
        value = _ZERO
        for i in range(_hash_words(packed, starts[d], starts[d + 1] - 1, words, edges)):
            value = _mix64(value + words[i]) * _BASE
        out[d] = value


@compiled
def hash_shingles(
    packed: NDArray[np.uint64], starts: NDArray[np.int64], size: int, out: NDArray[np.uint64], ends: NDArray[np.int64]
) -> None:
    """Write the hashes of the shingles of `size` words of all documents end to end; document `d` ends at `out[ends[d]]`."""
    bound = _max_words(starts)
    words, edges = np.empty(bound, np.uint64), np.empty(2 * bound, np.int64)
    at = 0
    for d in range(len(starts) - 1):
        n = _hash_words(packed, starts[d], starts[d + 1] - 1, words, edges)
        at += _hash_ngrams(words, n, size, out[at:])
        ends[d] = at


@compiled
def hash_bands(signatures: NDArray[np.uint32], rows: int, bands: NDArray[np.uint32]) -> None:
    """Hash each band of `rows` values of each signature.

    Args:
        signatures: (n, p) MinHash values.
        rows: values in a band.
        bands: (n, number of bands) output.
    """
    for d in range(len(signatures)):
        for band in range(bands.shape[1]):
            value = np.uint64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                value = value * _BASE + np.uint64(signatures[d, row])
            bands[d, band] = np.uint32(_mix64(value) & _LOW_32)


@compiled
def scatter_sets(
    values: NDArray[np.uint64],
    ends: NDArray[np.int64],
    rows: NDArray[np.uint32],
    begins: NDArray[np.int64],
    sizes: NDArray[np.int64],
    out: NDArray[np.uint64],
) -> None:
    """Copy sets that lie end to end in `values` to the places that `begins` reserves for these rows, and record their sizes."""
    low = 0
    for d in range(len(ends)):
        begin = begins[rows[d]]
        out[begin : begin + ends[d] - low] = values[low : ends[d]]
        sizes[rows[d]] = ends[d] - low
        low = ends[d]


@compiled
def remove_repeats(values: NDArray[np.uint64], ends: NDArray[np.int64]) -> int:
    """Remove repeated values from each sorted run in place, adjusting `ends`; return the number of values left."""
    at = low = 0
    for d in range(len(ends)):
        high = ends[d]
        for i in range(low, high):
            if i == low or values[i] != values[i - 1]:
                values[at] = values[i]
                at += 1
        low = high
        ends[d] = at
    return at
