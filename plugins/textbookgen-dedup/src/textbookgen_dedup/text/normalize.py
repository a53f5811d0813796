"""Texts as the kernels read them: bytes in which every run that is not zero is a word, made at the speed of memory.

What a word is, `words.plain` says. Its Unicode rules are asked once for each character that comes up, and remembered;
only texts with characters whose form depends on their neighbours, such as combining marks, go through it whole.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from textbookgen_dedup.lsh.kernels import compiled
from textbookgen_dedup.text.words import Bytes, Letters, plain, to_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNKNOWN, _CONTEXTUAL = np.int32(0), np.int32(-1)
_ROOM = 4096  # unknown characters that one pass may report


@compiled
def _letter(byte: Any) -> Any:
    """Lower-case letters, digits, `_` and bytes of other scripts; zero for the rest."""
    low = np.uint8(byte | np.uint8(32))
    letter = np.uint8(low - np.uint8(97)) < np.uint8(26)
    other = (np.uint8(byte - np.uint8(48)) < np.uint8(10)) | (byte >= np.uint8(128)) | (byte == np.uint8(95))
    return low if letter else (byte if other else np.uint8(0))


@compiled
def _highest(data: Any) -> Any:
    """All bits that any byte has."""
    bits = np.uint8(0)
    for i in range(len(data)):
        bits |= data[i]
    return bits


@compiled
def _letters(data: Any, out: Any) -> None:
    """Each byte's letter."""
    for i in range(len(data)):
        out[i] = _letter(data[i])


@compiled
def _character(data: Any, at: Any) -> Any:
    """The character of several bytes that begins here, and how many they are (RFC 3629)."""
    byte = np.int64(data[at])
    two = np.int64(data[at + 1]) & 63
    if byte < 0xE0:
        return (byte & 31) << 6 | two, 2
    three = np.int64(data[at + 2]) & 63
    if byte < 0xF0:
        return (byte & 15) << 12 | two << 6 | three, 3
    return (byte & 7) << 18 | two << 12 | three << 6 | (np.int64(data[at + 3]) & 63), 4


@compiled
def fold(data: Any, starts: Any, plain: Any, places: Any, said: Any, out: Any, ends: Any, strange: Any, unknown: Any) -> Any:
    """Writes the letters of each text and a zero after it; `ends` gets where texts end, and first the room they need.

    `places` has for each character where in `said` its letters are, with their number before them. Texts marked `plain`
    are taken by their bytes. Marks the texts that are `strange`, and returns how many characters were `unknown`.
    """
    at = news = 0
    for d in range(len(starts) - 1):
        low, high = starts[d], starts[d + 1] - 1
        highest = _highest(data[low:high])
        if at + high - low < len(out):
            _letters(data[low:high], out[at : at + high - low])
        if highest < np.uint8(128) or plain[d]:
            at += high - low
        else:
            i = low
            while i < high:
                if data[i] < np.uint8(128):
                    if at < len(out):
                        out[at] = _letter(data[i])
                    at += 1
                    i += 1
                    continue
                character, size = _character(data, i)
                i += size
                place = places[character]
                if place == _CONTEXTUAL:
                    strange[d] = True
                    break
                if place == _UNKNOWN:
                    unknown[news % len(unknown)] = character
                    news += 1
                    continue
                for j in range(place + 1, place + 1 + said[place]):
                    if at < len(out):
                        out[at] = said[j]
                    at += 1
        if at < len(out):
            out[at] = np.uint8(0)
        at += 1
        ends[d] = at
    return news


class Alphabet:
    """What is known of characters beyond ASCII."""

    def __init__(self, accents: bool) -> None:
        self.accents = accents
        self.places: NDArray[np.int32] = np.zeros(0x110000, np.int32)
        self.said: NDArray[np.uint8] = np.zeros(1, np.uint8)

    def learn(self, characters: list[int]) -> None:
        """Asks `plain` what becomes of these characters."""
        said, texts = [self.said.tobytes()], [chr(item) for item in characters]
        at = len(self.said)
        for character, text in zip(texts, plain(pl.Series(texts), self.accents), strict=True):
            letters = text.encode().replace(b" ", b"\0")
            self.places[ord(character)] = _CONTEXTUAL if self._contextual(character) else at
            said += [bytes([len(letters)]), letters]
            at += 1 + len(letters)
        self.said = np.frombuffer(b"".join(said), np.uint8)

    def _contextual(self, character: str) -> bool:
        """Whether its form depends on what stands before it: marks, parts of Korean syllables, and the Greek sigma.

        Emoji's variation selectors are marks that join with nothing.
        """
        if "Σ" in unicodedata.normalize("NFKC", character):
            return True
        first = unicodedata.normalize("NFKD", character)[0]
        if not self.accents:
            return unicodedata.combining(first) != 0 and unicodedata.category(first) != "Mn"
        selector = 0xFE00 <= ord(first) <= 0xFE0F
        return (unicodedata.category(first)[0] == "M" and not selector) or 0x1160 <= ord(first) <= 0x11FF


@lru_cache(maxsize=2)
def alphabet(accents: bool) -> Alphabet:
    """The one alphabet of this process."""
    return Alphabet(accents)


def letters_of(texts: pl.Series, accents: bool) -> Letters:
    """The letters of texts."""
    known, raw = alphabet(accents), to_bytes(texts)
    laid, as_they_are = raw, np.zeros(len(texts), np.bool_)
    room = len(raw.data) + 64
    while True:
        out: NDArray[np.uint8] = np.empty((room // 64 + 2) * 64, np.uint8)
        starts: NDArray[np.int64] = np.zeros(len(texts) + 1, np.int64)
        strange, unknown = np.zeros(len(texts), np.bool_), np.empty(_ROOM, np.int64)
        tables = known.places, known.said
        news = fold(laid.data, laid.starts, as_they_are, *tables, out[:room], starts[1:], strange, unknown)
        if news:
            known.learn(sorted(set(unknown[:news].tolist())))
        elif strange.any():
            as_they_are |= strange
            laid = _without_context(texts, as_they_are, accents)
        elif starts[-1] > room:
            room = int(starts[-1])
        else:
            out[starts[-1] :] = 0
            return Letters(out.view(np.uint64), starts, raw)


def _without_context(texts: pl.Series, strange: NDArray[np.bool_], accents: bool) -> Bytes:
    """The texts, with the strange ones as `plain` has them."""
    rows = pl.Series(strange)
    return to_bytes(texts.scatter(rows.arg_true(), plain(texts.filter(rows), accents)))
