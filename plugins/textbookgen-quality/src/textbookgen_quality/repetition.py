"""The compiled loops that find what a text says again: its n-grams of words. The only module that imports numba.

Integers are unsigned and wrap around; constants are typed, or they would turn them into floats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

_STEP = np.uint64(0x9E3779B97F4A7C15)  # of a polynomial over words' hashes; odd
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT, _ZERO = np.uint64(32), np.uint64(0)

#: Lengths of which the commonest gram counts, and lengths of which all that come again count (Gopher, table A1).
TOP, AGAIN = (2, 3, 4), (5, 6, 7, 8, 9, 10)


def _compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, kept on disk for the next process where there is a place to keep it."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(work)
    except RuntimeError:  # numba found no folder it may write to
        return njit(nogil=True, error_model="numpy")(work)


@_compiled
def _words(data: Any, low: Any, high: Any, hashes: Any, sizes: Any) -> Any:
    """Writes the hash of each word and how many characters it has, letters of ASCII taken as lower-case."""
    n, size, value = 0, 0, _ZERO
    for i in range(low, high + 1):
        byte = data[i] if i < high else np.uint8(32)
        lower = np.uint8(byte | np.uint8(32))
        letter = np.uint8(lower - np.uint8(97)) < np.uint8(26)
        if letter or np.uint8(byte - np.uint8(48)) < np.uint8(10) or byte == np.uint8(95) or byte >= np.uint8(128):
            value = (value ^ np.uint64(lower if letter else byte)) * _MIX
            value ^= value >> _SHIFT
            size += (byte & np.uint8(0xC0)) != np.uint8(0x80)  # bytes that continue a character are not counted
        elif size:
            hashes[n], sizes[n] = value, size
            n, size, value = n + 1, 0, _ZERO
    return n


@_compiled
def _power(least: Any) -> Any:
    """The power of two that is no less."""
    power = 16
    while power < least:
        power *= 2
    return power


@_compiled
def _count(grams: Any, n: Any, slots: Any, which: Any) -> None:
    """Notes for each gram in `which` the place of the first that is the same; `slots` is a table, at least twice as large."""
    mask = np.uint64(len(slots) - 1)
    slots[:] = -1
    for i in range(n):
        slot = (grams[i] * _STEP >> _SHIFT) & mask
        while slots[slot] >= 0 and grams[slots[slot]] != grams[i]:
            slot = (slot + np.uint64(1)) & mask
        if slots[slot] < 0:
            slots[slot] = i
        which[i] = slots[slot]


@_compiled
def repeated(data: Any, starts: Any, longest: Any, out: Any) -> None:
    """Writes for each text the shares of its words' characters that are in the commonest 2-, 3- and 4-gram, all its places
    together, and in 5- to 10-grams that were there before, each word counted once.

    Where a gram is there twice, so is the shorter one it begins with: after the first length few places are left.
    """
    room = longest // 2 + 2
    words, sizes, until = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room + 1, np.int64)
    grams, which, places = np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64)
    times, table = np.empty(room, np.int64), np.empty(_power(2 * room), np.int64)
    for d in range(len(starts) - 1):
        many = _words(data, starts[d], starts[d + 1] - 1, words, sizes)
        out[d, :] = 0.0
        if many == 0:
            continue
        until[0] = 0
        for i in range(many):
            until[i + 1], places[i], grams[i] = until[i] + sizes[i], i, words[i]
        left = many
        for n in range(2, 11):
            kept = 0
            for i in range(left):
                if places[i] + n <= many:
                    places[kept], grams[kept] = places[i], grams[i] * _STEP + words[places[i] + n - 1]
                    kept += 1
            _count(grams, kept, table[: _power(2 * kept)], which)
            times[:kept] = 0
            for i in range(kept):
                times[which[i]] += 1
            if n < 5:
                top = 0
                for i in range(kept):
                    if times[i] > 1:
                        top = max(top, times[i] * (until[places[i] + n] - until[places[i]]))
                out[d, n - 2] = top / until[many]
            else:
                covered = reached = 0
                for i in range(kept):
                    if which[i] != i:
                        covered += until[places[i] + n] - until[max(places[i], reached)]
                        reached = places[i] + n
                out[d, n - 2] = covered / until[many]
            left = 0
            for i in range(kept):
                if times[which[i]] > 1:
                    places[left], grams[left] = places[i], grams[i]
                    left += 1
