"""An index of accepted documents that grows while a generator runs: bands in memory, shingle sets in a file."""

from __future__ import annotations

import weakref
from collections import defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import polars as pl

from textbookgen.api.rows import text_of
from textbookgen_dedup.lsh.signatures import MinHashScheme, hash_bands, shingle_sets, sketch_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class SketchedDocuments:
    """Some documents with their band hashes and shingle sets.

    Attributes:
        ids: (n,) ids.
        bands: (n, bands) uint32, a hash of each band of the signature.
        values: uint64, the sorted shingle sets end to end.
        ends: (n,) int64, where each set ends in `values`.
    """

    ids: list[str]
    bands: NDArray[np.uint32]
    values: NDArray[np.uint64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pl.DataFrame, scheme: MinHashScheme) -> SketchedDocuments:
        """Sketch documents, chats or pairs."""
        texts = text_of(rows)
        signatures = sketch_texts(rows["id"], texts, scheme)["signature"].to_numpy()
        values, ends = shingle_sets(texts, scheme.size)
        return cls(rows["id"].to_list(), hash_bands(signatures, scheme), values, ends)

    def shingles(self, row: int) -> NDArray[np.uint64]:
        """Return the shingle set of one document."""
        return self.values[self.ends[row - 1] if row else 0 : self.ends[row]]


@dataclass
class BandTable:
    """Documents sorted by hash within each band.

    Attributes:
        hashes: (bands, n) uint32, ascending in each row.
        numbers: (bands, n) uint32, the documents that the hashes are of.
    """

    hashes: NDArray[np.uint32]
    numbers: NDArray[np.uint32]

    @classmethod
    def of(cls, bands: NDArray[np.uint32], first: int) -> BandTable:
        """Sort the (n, bands) hashes of documents that are numbered from `first`."""
        import numpy as np

        order = np.argsort(bands, axis=0, kind="stable")
        return cls(np.take_along_axis(bands, order, axis=0).T.copy(), (order.T + first).astype(np.uint32))

    def merged(self, other: BandTable) -> BandTable:
        """Return a table of the documents of both."""
        import numpy as np

        hashes = np.concatenate([self.hashes, other.hashes], axis=1)
        order = np.argsort(hashes, axis=1, kind="stable")
        numbers = np.concatenate([self.numbers, other.numbers], axis=1)
        return BandTable(np.take_along_axis(hashes, order, axis=1), np.take_along_axis(numbers, order, axis=1))

    def add_candidates(self, bands: NDArray[np.uint32], candidates: defaultdict[int, set[int]]) -> None:
        """Add to `candidates`, for each row of `bands`, the documents of the table that share a band with it."""
        import numpy as np

        for hashes, numbers, queries in zip(self.hashes, self.numbers, bands.T, strict=True):
            low, high = np.searchsorted(hashes, queries, "left"), np.searchsorted(hashes, queries, "right")
            for row in np.flatnonzero(high > low).tolist():
                candidates[row].update(numbers[low[row] : high[row]].tolist())


@dataclass
class OnlineIndex:
    """Accepted documents: band tables that double in size, as in a log-structured merge tree, and shingle sets in `file`."""

    scheme: MinHashScheme
    file: IO[bytes]
    ids: list[str] = field(default_factory=list)
    tables: list[BandTable] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    def add(self, documents: SketchedDocuments) -> None:
        """Add documents."""
        if not documents.ids:
            return
        table = BandTable.of(documents.bands, len(self.ids))
        while self.tables and self.tables[-1].numbers.shape[1] <= table.numbers.shape[1]:
            table = self.tables.pop().merged(table)
        self.tables.append(table)
        start = self.ends[-1] if self.ends else 0
        self.file.seek(8 * start)
        self.file.write(documents.values.tobytes())
        self.ends += [start + int(end) for end in documents.ends]
        self.ids += documents.ids

    def candidates(self, documents: SketchedDocuments) -> dict[int, set[int]]:
        """Return for each row of `documents` the numbers of indexed documents that share a band with it, if there are any."""
        candidates: defaultdict[int, set[int]] = defaultdict(set)
        for table in self.tables:
            table.add_candidates(documents.bands, candidates)
        return candidates

    def shingles(self, number: int) -> NDArray[np.uint64]:
        """Return the shingle set of an indexed document."""
        import numpy as np

        low = self.ends[number - 1] if number else 0
        self.file.seek(8 * low)
        return np.frombuffer(self.file.read(8 * (self.ends[number] - low)), np.uint64)


def exact_jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Return the Jaccard index of two sets of unique values; 1 for two empty sets."""
    import numpy as np

    common = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - common
    return common / union if union else 1.0
