"""Texts as arrays of bytes in which every run of non-zero bytes is a word, made at the speed of memory.

`normalize` defines what a word is. Its Unicode rules are evaluated once for each character that occurs and then looked up;
only texts with characters whose form depends on their neighbors, such as combining marks, are normalized as a whole.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from textbookgen_dedup.jit import compiled
from textbookgen_dedup.text.normalize import normalize

_UNKNOWN, _CONTEXTUAL = np.int32(0), np.int32(-1)
_MAX_REPORTED = 4096  # unknown characters that one pass can report


@dataclass(frozen=True)
class TextBytes:
    """UTF-8 texts end to end with a line break after each: text `i` is `data[starts[i] : starts[i + 1] - 1]`.

    `data` is uint8; `starts` is int64 of shape (n + 1,).
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, texts: pl.Series) -> TextBytes:
        """Copy a String series into one array."""
        starts: NDArray[np.int64] = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(texts.str.len_bytes().to_numpy() + 1, out=starts[1:])
        joined: bytes = texts.str.join("\n").cast(pl.Binary).item() if len(texts) else b""
        return cls(np.frombuffer(joined, np.uint8), starts)


@dataclass(frozen=True)
class WordBytes:
    """Texts in which every run of non-zero bytes is a word: text `i` is the bytes `starts[i]` to `starts[i + 1] - 1`.

    `packed` holds the bytes, eight to a uint64, followed by at least 64 zero bytes; words are lower-case. `starts` is int64
    of shape (n + 1,). `source` is the text before normalization.
    """

    packed: NDArray[np.uint64]
    starts: NDArray[np.int64]
    source: TextBytes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def words(self, row: int) -> list[bytes]:
        """Return the words of one text."""
        data = self.packed.view(np.uint8)[self.starts[row] : self.starts[row + 1] - 1].tobytes()
        return [word for word in data.split(b"\0") if word]


@compiled
def _fold_byte(byte: Any) -> Any:
    """Return a lower-case letter, digit, `_` or byte of another script as it is indexed, and zero for any other byte."""
    low = np.uint8(byte | np.uint8(32))
    letter = np.uint8(low - np.uint8(97)) < np.uint8(26)
    other = (np.uint8(byte - np.uint8(48)) < np.uint8(10)) | (byte >= np.uint8(128)) | (byte == np.uint8(95))
    return low if letter else (byte if other else np.uint8(0))


@compiled
def _union_of_bits(data: NDArray[np.uint8]) -> Any:
    """Return all bits that any byte has: 128 or more if the text is not ASCII."""
    bits = np.uint8(0)
    for i in range(len(data)):
        bits |= data[i]
    return bits


@compiled
def _fold_bytes(data: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    for i in range(len(data)):
        out[i] = _fold_byte(data[i])


@compiled
def _decode_character(data: NDArray[np.uint8], at: Any) -> Any:
    """Return the code point of the multi-byte character at `at`, and its number of bytes (RFC 3629)."""
    byte = np.int64(data[at])
    two = np.int64(data[at + 1]) & 63
    if byte < 0xE0:
        return (byte & 31) << 6 | two, 2
    three = np.int64(data[at + 2]) & 63
    if byte < 0xF0:
        return (byte & 15) << 12 | two << 6 | three, 3
    return (byte & 7) << 18 | two << 12 | three << 6 | (np.int64(data[at + 3]) & 63), 4


@compiled
def _fold_characters(
    data: NDArray[np.uint8],
    low: Any,
    high: Any,
    offsets: NDArray[np.int32],
    replacements: NDArray[np.uint8],
    out: NDArray[np.uint8],
    at: Any,
    unknown: NDArray[np.int64],
    reported: Any,
) -> Any:
    """Write the word bytes of one text, character by character; arguments as for `_fold_texts`.

    Returns:
        The end of the text in `out`, the number of unknown characters so far, and whether the text is contextual.
    """
    i = low
    while i < high:
        if data[i] < np.uint8(128):
            if at < len(out):
                out[at] = _fold_byte(data[i])
            at += 1
            i += 1
            continue
        character, size = _decode_character(data, i)
        i += size
        offset = offsets[character]
        if offset == _CONTEXTUAL:
            return at, reported, True
        if offset == _UNKNOWN:
            unknown[reported % len(unknown)] = character
            reported += 1
            continue
        for j in range(offset + 1, offset + 1 + replacements[offset]):
            if at < len(out):
                out[at] = replacements[j]
            at += 1
    return at, reported, False


@compiled
def _fold_texts(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    normalized: NDArray[np.bool_],
    offsets: NDArray[np.int32],
    replacements: NDArray[np.uint8],
    out: NDArray[np.uint8],
    ends: NDArray[np.int64],
    contextual: NDArray[np.bool_],
    unknown: NDArray[np.int64],
) -> int:
    """Write the word bytes of each text and a zero after it.

    Args:
        data: UTF-8 bytes of the texts (`TextBytes.data`).
        starts: (n + 1,) first byte of each text.
        normalized: (n,) texts whose bytes above 127 are copied as they are.
        offsets: (0x110000,) per code point the place in `replacements` of a length and as many bytes, or `_UNKNOWN`, or
            `_CONTEXTUAL`.
        replacements: word bytes of known characters, each after their number.
        out: output; nothing is written beyond its end.
        ends: (n,) output, end of each text in `out`, counted on if `out` is too small.
        contextual: (n,) output, texts that must be normalized as a whole.
        unknown: output, code points that `offsets` does not know.

    Returns:
        The number of occurrences of unknown characters.
    """
    at = reported = 0
    for d in range(len(starts) - 1):
        low, high = starts[d], starts[d + 1] - 1
        bits = _union_of_bits(data[low:high])
        if at + high - low < len(out):
            _fold_bytes(data[low:high], out[at : at + high - low])
        if bits < np.uint8(128) or normalized[d]:
            at += high - low
        else:
            at, reported, contextual[d] = _fold_characters(data, low, high, offsets, replacements, out, at, unknown, reported)
        if at < len(out):
            out[at] = np.uint8(0)
        at += 1
        ends[d] = at
    return reported


class CharacterTable:
    """The normalized form of every character beyond ASCII that has occurred in this process.

    Attributes:
        offsets: (0x110000,) int32, per code point the place of its form in `replacements`.
        replacements: uint8, each form's number of bytes and then its bytes.
    """

    def __init__(self, accents: bool) -> None:
        self.accents = accents
        self.offsets: NDArray[np.int32] = np.zeros(0x110000, np.int32)
        self.replacements: NDArray[np.uint8] = np.zeros(1, np.uint8)

    def add(self, code_points: list[int]) -> None:
        """Look up what `normalize` makes of these characters."""
        pieces, characters = [self.replacements.tobytes()], [chr(item) for item in code_points]
        at = len(self.replacements)
        for character, text in zip(characters, normalize(pl.Series(characters), self.accents), strict=True):
            form = text.encode().replace(b" ", b"\0")
            self.offsets[ord(character)] = _CONTEXTUAL if self._is_contextual(character) else at
            pieces += [bytes([len(form)]), form]
            at += 1 + len(form)
        self.replacements = np.frombuffer(b"".join(pieces), np.uint8)

    def _is_contextual(self, character: str) -> bool:
        """Whether the form depends on the character before: marks, parts of Korean syllables, and the Greek sigma.

        Variation selectors of emoji are marks that combine with nothing.
        """
        if "Σ" in unicodedata.normalize("NFKC", character):
            return True
        first = unicodedata.normalize("NFKD", character)[0]
        if not self.accents:
            return unicodedata.combining(first) != 0 and unicodedata.category(first) != "Mn"
        selector = 0xFE00 <= ord(first) <= 0xFE0F
        return (unicodedata.category(first)[0] == "M" and not selector) or 0x1160 <= ord(first) <= 0x11FF


@lru_cache(maxsize=2)
def _character_table(accents: bool) -> CharacterTable:
    """Return the table of this process."""
    return CharacterTable(accents)


def to_word_bytes(texts: pl.Series, accents: bool = True) -> WordBytes:
    """Return the words of texts as `normalize` defines them; `accents` as there."""
    table, source = _character_table(accents), TextBytes.of(texts)
    text_bytes, normalized = source, np.zeros(len(texts), np.bool_)
    capacity = len(source.data) + 64
    while True:
        out: NDArray[np.uint8] = np.empty((capacity // 64 + 2) * 64, np.uint8)
        starts: NDArray[np.int64] = np.zeros(len(texts) + 1, np.int64)
        contextual, unknown = np.zeros(len(texts), np.bool_), np.empty(_MAX_REPORTED, np.int64)
        reported = _fold_texts(
            text_bytes.data,
            text_bytes.starts,
            normalized,
            table.offsets,
            table.replacements,
            out[:capacity],
            starts[1:],
            contextual,
            unknown,
        )
        if reported:
            table.add(sorted(set(unknown[:reported].tolist())))
        elif contextual.any():
            normalized |= contextual
            rows = pl.Series(normalized)
            text_bytes = TextBytes.of(texts.scatter(rows.arg_true(), normalize(texts.filter(rows), accents)))
        elif starts[-1] > capacity:
            capacity = int(starts[-1])
        else:
            out[starts[-1] :] = 0
            return WordBytes(out.view(np.uint64), starts, source)


def word_batches(texts: pl.Series, size: int = 128) -> Iterator[tuple[slice, WordBytes]]:
    """Yield the words of `size` texts at a time, few enough to stay in the processor's cache, with their rows."""
    for low in range(0, len(texts), size):
        rows = slice(low, min(low + size, len(texts)))
        yield rows, to_word_bytes(texts[rows])
