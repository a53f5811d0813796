"""An index of the n-grams of benchmark items, and where documents contain one of them."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
from textbookgen_dedup.text.normalize import normalize
from textbookgen_dedup.text.python_code import parse_document

from textbookgen.api.benchmark import ChoiceItem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from textbookgen_dedup.text.word_bytes import WordBytes

    from textbookgen import Benchmark, BenchmarkItem

_WORD = re.compile(rb"[0-9a-z_\x80-\xff]+")
_MIN_CAPACITY = 4096


def words_of(text: str, accents: bool = True) -> list[bytes]:
    """Return the words of a text in UTF-8, lower-case, as the kernels see them; `accents` as in `normalize`."""
    return _WORD.findall(normalize(pl.Series([text]), accents)[0].encode().lower())


def distinct_ngrams(text: str, size: int) -> set[tuple[bytes, ...]]:
    """Return the runs of `size` words of a text; all its words if there are fewer."""
    words = words_of(text)
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))} if words else set()


@dataclass(frozen=True)
class Problem:
    """An item of a benchmark, as decontamination looks at it."""

    benchmark: str
    id: str
    prompt: str
    solution: str

    @property
    def label(self) -> str:
        """Benchmark and item, for evidence."""
        return f"{self.benchmark} {self.id}"

    @cached_property
    def text(self) -> str:
        """Prompt and solution; a prompt that ends in white space is continued directly."""
        return self.prompt + self.solution if self.prompt[-1:].isspace() else f"{self.prompt}\n{self.solution}"

    def trees(self) -> list[ast.Module]:
        """Return the syntax trees of the item's code: of prompt and solution together, or else of the solution."""
        return list(parse_document(self.text)) or list(parse_document(self.solution))

    def has_functions(self) -> bool:
        """Return whether the item is about code: whether its code defines a function."""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        return any(isinstance(node, functions) for tree in self.trees() for node in ast.walk(tree))


def read_problems(benchmarks: Iterable[Benchmark]) -> list[Problem]:
    """Return every item of every benchmark; of choices, the right one."""
    return [
        Problem(benchmark.name, item.id, _prompt(item), item.solution) for benchmark in benchmarks for item in benchmark.items()
    ]


def _prompt(item: BenchmarkItem | ChoiceItem) -> str:
    """Return the prompt of an item; where each choice has its own, that of the right one."""
    return item.prompts[item.answer] if isinstance(item, ChoiceItem) and item.prompts else item.prompt


@dataclass(frozen=True)
class NgramHit:
    """An n-gram that a document shares with items.

    Attributes:
        row: the document.
        size: words in the n-gram.
        words: the words, as evidence.
        items: positions of the items in the list of problems.
    """

    row: int
    size: int
    words: str
    items: tuple[int, ...]


@dataclass(frozen=True)
class _HashTable:
    """The arrays that `kernels.find_ngrams` searches."""

    sizes: NDArray[np.int64]
    slots: NDArray[np.uint64]
    bitmap: NDArray[np.uint8]


@dataclass
class NgramIndex:
    """Hashed n-grams of texts, each with the texts that contain it.

    Attributes:
        accents: as in `normalize`.
        owners: for each size and hash the texts that contain the n-gram.
    """

    accents: bool = True
    owners: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    _table: _HashTable | None = None

    def add(self, owner: int, text: str, size: int) -> None:
        """Add the n-grams of a text; a text of fewer words is one n-gram."""
        words, hashes = self._hash_text(text, size)
        for value in hashes:
            owners = self.owners[min(size, words), value]
            if not owners or owners[-1] != owner:
                owners.append(owner)
        self._table = None

    def remove(self, text: str, size: int) -> None:
        """Remove the n-grams of a text, so that they are not reported."""
        _, hashes = self._hash_text(text, size)
        for value in hashes:
            self.owners.pop((size, value), None)
        self._table = None

    def _hash_text(self, text: str, size: int) -> tuple[int, list[int]]:
        """Return the number of words of a text, and the hashes of its n-grams."""
        import numpy as np
        from textbookgen_dedup.text.word_bytes import to_word_bytes

        from textbookgen_decontamination import kernels

        words, _ = _hash_words(to_word_bytes(pl.Series([text]), self.accents))
        out = np.empty(len(words) + 1, np.uint64)
        return len(words), out[: kernels.hash_ngrams(words, size, out)].tolist()

    def _build_table(self) -> _HashTable:
        import numpy as np

        from textbookgen_decontamination import kernels

        hashes = np.array([value for _, value in self.owners], np.uint64)
        slots = np.zeros(1 << max(6, (4 * len(hashes)).bit_length()), np.uint64)
        bitmap = np.zeros(len(slots) // 2, np.uint8)  # sixteen bits or more for each hash
        kernels.fill_table(hashes, slots, bitmap)
        return _HashTable(np.array(sorted({size for size, _ in self.owners}), np.int64), slots, bitmap)

    def search(self, texts: pl.Series) -> Iterator[NgramHit]:
        """Yield the n-grams that documents share with the index, by row, then by size, then by position."""
        import numpy as np
        from textbookgen_dedup.text.word_bytes import to_word_bytes

        from textbookgen_decontamination import kernels

        if not self.owners or not len(texts):
            return
        table = self._table = self._table or self._build_table()
        word_bytes, capacity = to_word_bytes(texts, self.accents), _MIN_CAPACITY
        words, ends = _hash_words(word_bytes)
        while True:
            hits, hashes = np.empty((3, capacity), np.int64), np.empty(capacity, np.uint64)
            count = kernels.find_ngrams(words, ends, table.sizes, table.slots, table.bitmap, hits, hashes)
            if count <= capacity:
                break
            capacity = count
        row, row_words = -1, list[bytes]()
        for (found_row, position, size), value in zip(hits[:, :count].T.tolist(), hashes[:count].tolist(), strict=True):
            if owners := self.owners.get((size, value)):
                if found_row != row:
                    row, row_words = found_row, word_bytes.words(found_row)
                yield NgramHit(row, size, _decode(row_words[position : position + size]), tuple(owners))


def _hash_words(word_bytes: WordBytes) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of the words of all texts end to end, and where each text ends."""
    import numpy as np
    from textbookgen_dedup import kernels

    words = np.empty(int(word_bytes.starts[-1]) // 2 + len(word_bytes) + 1, np.uint64)
    ends = np.empty(len(word_bytes), np.int64)
    kernels.hash_all_words(word_bytes.packed, word_bytes.starts, words, ends)
    return words[: ends[-1]], ends


def _decode(words: Sequence[bytes]) -> str:
    return b" ".join(words).decode(errors="replace")
