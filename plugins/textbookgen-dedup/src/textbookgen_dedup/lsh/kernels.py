"""The compiled loops over bytes, words and signatures; the only module that imports numba.

Integers are unsigned and wrap around: an operand that is not of the same unsigned type would turn them into floats,
which is why constants are typed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no power of it is zero
_OTHER = np.uint64(0xD6E8FEB86659FD93)
_FMIX = (np.uint64(33), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_FMIX32 = (np.uint32(16), np.uint32(0x85EBCA6B), np.uint32(13), np.uint32(0xC2B2AE35))
_LOW = np.uint64(0xFFFFFFFF)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_HIGH = np.uint64(0x8080808080808080)
_GATHER = np.uint64(0x0102040810204080)  # times the lowest bits of eight bytes, they are side by side at the top


def compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(work)
    except RuntimeError:  # numba found no folder it may write to
        return njit(nogil=True, error_model="numpy")(work)


@compiled
def _mix(x: Any) -> Any:
    """MurmurHash3's 64-bit finaliser: a bijection in which every bit of input moves every bit of output."""
    x ^= x >> _FMIX[0]
    x *= _FMIX[1]
    x ^= x >> _FMIX[0]
    x *= _FMIX[2]
    return x ^ (x >> _FMIX[0])


@compiled
def _mix32(x: Any) -> Any:
    """MurmurHash3's 32-bit finaliser, by which datasketch prepares a hash for its affine permutations."""
    x = np.uint32(x ^ (x >> _FMIX32[0]))
    x = np.uint32(x * _FMIX32[1])
    x = np.uint32(x ^ (x >> _FMIX32[2]))
    x = np.uint32(x * _FMIX32[3])
    return np.uint32(x ^ (x >> _FMIX32[0]))


@compiled
def _eight(prepared: Any, at: Any) -> Any:
    """Eight bytes from any place on."""
    shift = (at & np.uint64(7)) << np.uint64(3)
    at >>= np.uint64(3)
    return (prepared[at] >> shift) | ((prepared[at + _ONE] << (np.uint64(63) - shift)) << _ONE)


@compiled
def _present(eight: Any) -> Any:
    """The highest bit of each byte that is not zero."""
    return (((eight & ~_HIGH) + ~_HIGH) | eight) & _HIGH


def _trailing_zeros(context: Any, bits: Any) -> Any:
    """How many zeros there are below the lowest bit that is set; there must be one. One instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


_trailing: Any = intrinsic(_trailing_zeros)


@compiled
def _edges(prepared: Any, low: Any, high: Any, edges: Any) -> Any:
    """Writes where words begin and end, by turns, from `low` to `high`; returns how many places that is.

    Sixty-four bytes at a time become a number of one bit each, in which edges are bits that differ from the one before.
    """
    n = 0
    before = _ZERO
    for block in range(low >> 6, (high >> 6) + 1):
        mask = _ZERO
        for part in range(8):
            mask |= (((_present(prepared[8 * block + part]) >> np.uint64(7)) * _GATHER) >> np.uint64(56)) << np.uint64(8 * part)
        if block == low >> 6:
            mask &= ~_ZERO << np.uint64(low & 63)
        if block == high >> 6:
            mask &= (_ONE << np.uint64(high & 63)) - _ONE
        turns = mask ^ (mask << _ONE | before)
        before = mask >> np.uint64(63)
        while turns != _ZERO:
            edges[n] = (block << 6) + np.int64(_trailing(turns))
            n += 1
            turns &= turns - _ONE
    return n


@compiled
def _words(prepared: Any, low: Any, high: Any, words: Any, edges: Any) -> Any:
    """Writes the hash of each word from `low` to `high` and where it begins and ends; returns how many there are.

    At `high` there must be a byte that is part of no word. Words of up to eight bytes have hashes of their own.
    """
    n = _edges(prepared, low, high, edges) >> 1
    for i in range(n):
        at, end = np.uint64(edges[2 * i]), np.uint64(edges[2 * i + 1])
        word = _ZERO
        while end - at >= np.uint64(8):
            word = _mix(word ^ _eight(prepared, at))
            at += np.uint64(8)
        rest = (end - at) << np.uint64(3)
        words[i] = _mix(word ^ (_eight(prepared, at) & ((_ONE << rest) - _ONE)))
    return n


@compiled
def _power(size: Any) -> Any:
    power = _ONE
    for _ in range(size):
        power *= _BASE
    return power


@compiled
def _shingles(words: Any, n: Any, size: Any, shingles: Any) -> Any:
    """Writes the hash of each run of `size` words (of all of them where there are fewer); returns how many there are."""
    if n == 0:
        return 0
    size = min(size, n)
    power = _power(size)
    roll = _ZERO
    for i in range(n):
        roll = roll * _BASE + words[i]
        if i >= size:
            roll -= words[i - size] * power
        if i >= size - 1:
            shingles[i - size + 1] = _mix(roll)
    return n - size + 1


@compiled
def _permute(shingles: Any, n: Any, a: Any, b: Any, signature: Any) -> None:
    """The least of each affine permutation over the shingles, four shingles at a time to spare loads and stores."""
    for i in range(0, n, 4):
        h0 = _mix32(np.uint32(shingles[i] & _LOW))
        h1 = _mix32(np.uint32(shingles[min(i + 1, n - 1)] & _LOW))
        h2 = _mix32(np.uint32(shingles[min(i + 2, n - 1)] & _LOW))
        h3 = _mix32(np.uint32(shingles[min(i + 3, n - 1)] & _LOW))
        for p in range(len(a)):
            u = min(np.uint32(a[p] * h0 + b[p]), np.uint32(a[p] * h1 + b[p]))
            v = min(np.uint32(a[p] * h2 + b[p]), np.uint32(a[p] * h3 + b[p]))
            signature[p] = min(signature[p], min(u, v))


@compiled
def _longest(starts: Any) -> Any:
    """The most words that one document can have."""
    longest = 0
    for d in range(len(starts) - 1):
        longest = max(longest, starts[d + 1] - starts[d])
    return longest // 2 + 1


@compiled
def sketch(
    prepared: Any, starts: Any, data: Any, places: Any, size: Any, a: Any, b: Any, signatures: Any, exact: Any, counts: Any
) -> None:
    """For each document its MinHash signature, two hashes of its words in order, and its number of words.

    `data` and `places` are the text as it was, for documents without a word.
    """
    longest = _longest(starts)
    words = np.empty(longest, np.uint64)
    shingles = np.empty(longest, np.uint64)
    edges = np.empty(2 * longest, np.int64)
    for d in range(len(starts) - 1):
        n = _words(prepared, starts[d], starts[d + 1] - 1, words, edges)
        counts[d] = n
        first, second = _ONE, _OTHER
        for i in range(n):
            first = first * _BASE + words[i]
            second = (second ^ words[i]) * _OTHER
            second ^= second >> _FMIX[0]
        if n == 0:  # without a word, only the very same characters are a copy
            for i in range(places[d], places[d + 1] - 1):
                first = first * _BASE + np.uint64(data[i])
                second = (second ^ np.uint64(data[i])) * _OTHER
        exact[d, 0], exact[d, 1] = _mix(first), _mix(second)
        _permute(shingles, _shingles(words, n, size, shingles), a, b, signatures[d])


@compiled
def fingerprints(prepared: Any, starts: Any, out: Any) -> None:
    """A 64-bit hash of the words of each document in order; 0 where there are none."""
    longest = _longest(starts)
    words, edges = np.empty(longest, np.uint64), np.empty(2 * longest, np.int64)
    for d in range(len(starts) - 1):
        value = _ZERO
        for i in range(_words(prepared, starts[d], starts[d + 1] - 1, words, edges)):
            value = _mix(value + words[i]) * _BASE
        out[d] = value


@compiled
def shingle(prepared: Any, starts: Any, size: Any, out: Any, ends: Any) -> None:
    """Writes the shingle hashes of all documents one after the other; `ends[d]` is where document `d` ends."""
    longest = _longest(starts)
    words, edges = np.empty(longest, np.uint64), np.empty(2 * longest, np.int64)
    at = 0
    for d in range(len(starts) - 1):
        n = _words(prepared, starts[d], starts[d + 1] - 1, words, edges)
        at += _shingles(words, n, size, out[at:])
        ends[d] = at


@compiled
def bands_of(signatures: Any, rows: Any, bands: Any) -> None:
    """One 32-bit hash for each band of `rows` values of a signature."""
    for d in range(len(signatures)):
        for band in range(bands.shape[1]):
            value = np.uint64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                value = value * _BASE + np.uint64(signatures[d, row])
            bands[d, band] = np.uint32(_mix(value) & _LOW)


@compiled
def lay(values: Any, ends: Any, places: Any, begins: Any, sizes: Any, out: Any) -> None:
    """Copies runs that are end to end in `values` to where `begins` says that those of these places go; notes their sizes."""
    low = 0
    for d in range(len(ends)):
        begin = begins[places[d]]
        out[begin : begin + ends[d] - low] = values[low : ends[d]]
        sizes[places[d]] = ends[d] - low
        low = ends[d]


@compiled
def unique(values: Any, ends: Any) -> Any:
    """Drops repeated values of each sorted run in place, moving `ends`; returns how many values are left."""
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


@compiled
def find_grams(
    prepared: Any, starts: Any, sizes: Any, slots: Any, sieve: Any, rows: Any, begins: Any, lengths: Any, hashes: Any
) -> Any:
    """Writes row, first byte, size and hash of each n-gram of one of the `sizes` that is in the hash table `slots`.

    `sieve` holds a bit for each slot, small enough for the processor's cache. Returns how many there are, of which no
    more are written than there is room for.
    """
    longest = _longest(starts)
    words, grams = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    edges = np.empty(2 * longest, np.int64)
    mask, bits = np.uint64(len(slots) - 1), np.uint64(len(sieve) * 8 - 1)
    result = 0
    for d in range(len(starts) - 1):
        n = _words(prepared, starts[d], starts[d + 1] - 1, words, edges)
        for size in sizes:
            if n < size:
                continue
            for i in range(_shingles(words, n, size, grams)):
                bit = grams[i] & bits
                if not sieve[bit >> np.uint64(3)] & (np.uint8(1) << (bit & np.uint64(7))):
                    continue
                slot = grams[i] & mask
                while slots[slot] != _ZERO and slots[slot] != grams[i]:
                    slot = (slot + _ONE) & mask
                if slots[slot] == grams[i]:
                    if result < len(rows):
                        rows[result], begins[result], lengths[result], hashes[result] = d, edges[2 * i], size, grams[i]
                    result += 1
    return result


@compiled
def fill_slots(hashes: Any, slots: Any, sieve: Any) -> None:
    """Puts hashes into an open-addressing table and its sieve; the table must have more slots than there are hashes."""
    mask, bits = np.uint64(len(slots) - 1), np.uint64(len(sieve) * 8 - 1)
    for value in hashes:
        slot = value & mask
        while slots[slot] != _ZERO and slots[slot] != value:
            slot = (slot + _ONE) & mask
        slots[slot] = value
        bit = value & bits
        sieve[bit >> np.uint64(3)] |= np.uint8(1) << (bit & np.uint64(7))
