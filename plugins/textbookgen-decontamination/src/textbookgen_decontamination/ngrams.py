"""The n-grams of benchmarks, hashed, and where documents hold one of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl
from textbookgen_dedup.text.words import letters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from textbookgen.api.benchmark import Benchmark

_WORD = re.compile(rb"[0-9a-z_\x80-\xff]+")


def words_in(text: bytes) -> list[bytes]:
    """The words of a text that `plain` has prepared, as the kernels see them."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Problem:
    """One item of a benchmark, as decontamination looks at it."""

    benchmark: str
    id: str
    prompt: str
    solution: str

    @property
    def place(self) -> str:
        """Benchmark and item, for evidence."""
        return f"{self.benchmark} {self.id}"

    @cached_property
    def text(self) -> str:
        """Prompt and solution. A prompt that ends in the middle of code goes straight on."""
        return self.prompt + self.solution if self.prompt[-1:].isspace() else f"{self.prompt}\n{self.solution}"


def problems_of(benchmarks: Iterable[Benchmark]) -> list[Problem]:
    """Every item of every benchmark."""
    return [Problem(each.name, item.id, item.prompt, item.solution) for each in benchmarks for item in each.items()]


@dataclass(frozen=True)
class Hit:
    """An n-gram that a document shares with items: where, of how many words, which, and the items by place."""

    row: int
    size: int
    words: str
    items: tuple[int, ...]


@dataclass
class Grams:
    """Hashed n-grams of texts, each with the texts it is from; `accents` as in `plain`."""

    accents: bool = True
    texts: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))  # (size, hash): owners
    _table: tuple[Any, Any, Any] | None = None

    def add(self, owner: int, text: str, size: int) -> None:
        """Adds the n-grams of a text; one of fewer words is one n-gram of all of them."""
        many, hashes = self._hashes(text, size)
        for value in hashes:
            owners = self.texts[(min(size, many), value)]
            if not owners or owners[-1] != owner:
                owners.append(owner)
        self._table = None

    def allow(self, text: str, size: int) -> None:
        """Forgets the n-grams of a text that anybody may use."""
        _, hashes = self._hashes(text, size)
        for value in hashes:
            self.texts.pop((size, value), None)
        self._table = None

    def _hashes(self, text: str, size: int) -> tuple[int, list[int]]:
        import numpy as np
        from textbookgen_dedup.lsh import kernels

        laid = letters(pl.Series([text]), self.accents)
        many = len(words_in(laid.eights.tobytes()))
        out, ends = np.empty(many + 1, np.uint64), np.zeros(1, np.int64)
        kernels.shingle(laid.eights, laid.starts, size, out, ends)
        return many, out[: int(ends[0])].tolist()

    def _compiled(self) -> tuple[Any, Any, Any]:
        """Sizes, hash table and sieve for the kernel."""
        import numpy as np
        from textbookgen_dedup.lsh import kernels

        if self._table is None:
            hashes = np.array([value for _, value in self.texts], np.uint64)
            slots: NDArray[np.uint64] = np.zeros(1 << max(6, (4 * len(hashes)).bit_length()), np.uint64)
            sieve: NDArray[np.uint8] = np.zeros(len(slots) // 2, np.uint8)  # sixteen bits or more for each hash
            kernels.fill_slots(hashes, slots, sieve)
            self._table = np.array(sorted({size for size, _ in self.texts}), np.int64), slots, sieve
        return self._table

    def hits(self, texts: pl.Series) -> Iterator[Hit]:
        """Where documents share an n-gram, in order of rows and, for each size, of words."""
        import numpy as np
        from textbookgen_dedup.lsh import kernels

        if not self.texts or not len(texts):
            return
        laid, room = letters(texts, self.accents), 4096
        while True:
            rows, begins, sizes = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
            hashes = np.empty(room, np.uint64)
            result = kernels.find_grams(laid.eights, laid.starts, *self._compiled(), rows, begins, sizes, hashes)
            if result <= room:
                break
            room = result
        data = laid.eights.view(np.uint8)
        for row, begin, size, value in zip(*(item[:result].tolist() for item in (rows, begins, sizes, hashes)), strict=True):
            if owners := self.texts.get((size, value)):
                yield Hit(row, size, _words_at(data, begin, int(laid.starts[row + 1]) - 1, size), tuple(owners))


def _words_at(data: Any, begin: int, end: int, size: int) -> str:
    """So many words from a place on, as evidence."""
    words: Sequence[bytes] = words_in(data[begin : min(end, begin + 64 * size)].tobytes())[:size]
    return b" ".join(words).decode(errors="replace")
