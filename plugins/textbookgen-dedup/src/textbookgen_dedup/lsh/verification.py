"""Verification: the original of each document, exact copies by hash and near copies by the true Jaccard index of texts.

Documents are decided in order of precedence: one is dropped if a kept document before it is similar enough, and kept
otherwise. The result does not depend on memory, parts or workers. No document is dropped because of a dropped one, which is
how connected components lose documents that have no near copy at all, and later documents change nothing for earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from textbookgen_dedup.lsh.candidates import SignatureTable, find_candidates
from textbookgen_dedup.lsh.signatures import MinHashScheme, hash_bands, shingle_set_batches
from textbookgen_dedup.lsh.spill import ShingleSets, SpillBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Stands in for the row of an original where there is none.
NONE = 0xFFFFFFFF
_DEVIATIONS = 4  # a signature's estimate lies this many standard deviations below the true index once in 30,000 times


@dataclass(frozen=True)
class Duplicates:
    """What each document is a copy of, by row of the corpus.

    Attributes:
        original: (n,) uint32, the row of the kept document, or `NONE`.
        jaccard: (n,) float64, the Jaccard index with it; 0 without an original.
        exact: (n,) bool, whether the words are the same in the same order.
    """

    original: NDArray[np.uint32]
    jaccard: NDArray[np.float64]
    exact: NDArray[np.bool_]

    @classmethod
    def none(cls, documents: int) -> Duplicates:
        """Return a table in which no document is a copy."""
        import numpy as np

        return cls(np.full(documents, NONE, np.uint32), np.zeros(documents), np.zeros(documents, np.bool_))


@dataclass(frozen=True)
class CorpusReader:
    """Reads the signatures and shingle sets of selected documents of a corpus.

    Attributes:
        sketches: rows of `sketch_texts`, in the order of the corpus.
        corpus: the documents.
        compared_text: returns what is compared of some documents.
        scheme: the parameters of the sketches.
        threshold: Jaccard index from which a document is a near copy.
        buffer: the memory budget.
    """

    sketches: pl.LazyFrame
    corpus: pl.LazyFrame
    compared_text: Callable[[pl.DataFrame], pl.Series]
    scheme: MinHashScheme
    threshold: float
    buffer: SpillBuffer

    @property
    def min_equal(self) -> int:
        """The number of values that two signatures must share for their documents to be compared."""
        deviation = math.sqrt(self.threshold * (1 - self.threshold) / self.scheme.permutations)
        return max(1, math.ceil((self.threshold - _DEVIATIONS * deviation) * self.scheme.permutations))

    def read_signatures(self, documents: NDArray[np.int64], total: int) -> SignatureTable:
        """Return the signatures of some of the `total` documents, in the given order."""
        import numpy as np

        rows, low = _inverse(documents, total), 0
        table = SignatureTable.allocate(self.buffer, len(documents), self.scheme.bands, self.scheme.permutations)
        for batch in self.sketches.select("signature").collect_batches(chunk_size=10_000, maintain_order=True):
            batch_rows = rows[low : low + len(batch)]
            low += len(batch)
            selected = batch_rows != NONE
            signatures = batch["signature"].to_numpy()[selected]
            table.put(batch_rows[selected], hash_bands(signatures, self.scheme), signatures.astype(np.uint8))
        return table

    def read_shingle_sets(self, documents: NDArray[np.int64], total: int) -> ShingleSets:
        """Return the shingle sets of some of the `total` documents, in the given order, made from their texts."""
        import numpy as np

        rows, low = _inverse(documents, total), 0
        words = self.sketches.select("words").collect().to_series().to_numpy()[documents].astype(np.int64)
        sets = ShingleSets.allocate(self.buffer, np.maximum(words - self.scheme.size + 1, 1))
        for batch in self.corpus.collect_batches(chunk_size=2_000, maintain_order=True):
            batch_rows = rows[low : low + len(batch)]
            low += len(batch)
            selected = batch_rows != NONE
            selected_rows, texts = batch_rows[selected], self.compared_text(batch.filter(pl.Series(selected)))
            for part, values, ends in shingle_set_batches(texts, self.scheme.size):
                sets.put(selected_rows[part], values, ends)
        return sets


def _inverse(documents: NDArray[np.int64], total: int) -> NDArray[np.uint32]:
    """Return for each document of the corpus its place in `documents`, or `NONE`."""
    import numpy as np

    rows = np.full(total, NONE, np.uint32)
    rows[documents] = np.arange(len(documents), dtype=np.uint32)
    return rows


def find_duplicates(reader: CorpusReader, precedence: NDArray[np.int64]) -> Duplicates:
    """Return the original of each document.

    Args:
        reader: the corpus.
        precedence: (n,) rows of all documents; of two copies, the one listed first is kept.
    """
    duplicates = Duplicates.none(len(precedence))
    distinct = find_exact_copies(reader.sketches, precedence, duplicates)
    if reader.threshold < 1 and len(distinct) > 1:
        _find_near_copies(reader, distinct, duplicates)
    _resolve_chains(duplicates)
    return duplicates


def find_exact_copies(sketches: pl.LazyFrame, precedence: NDArray[np.int64], duplicates: Duplicates) -> NDArray[np.int64]:
    """Record documents whose words are those of an earlier one; return the others in order of precedence."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels

    exact = sketches.select("exact").collect().to_series().to_numpy()
    order = precedence[np.lexsort((exact[precedence, 1], exact[precedence, 0]))]  # stable: equal ones keep their precedence
    original = np.full(len(order), NONE, np.uint32)
    lsh_kernels.link_equal(exact, order, original)
    copies = original != NONE
    duplicates.original[copies], duplicates.jaccard[copies], duplicates.exact[copies] = original[copies], 1.0, True
    distinct: NDArray[np.int64] = precedence[~copies[precedence]]
    return distinct


def _find_near_copies(reader: CorpusReader, distinct: NDArray[np.int64], duplicates: Duplicates) -> None:
    """Record near copies among documents that are not exact copies of each other."""
    import numpy as np

    signatures = reader.read_signatures(distinct, len(duplicates.original))
    candidates = find_candidates(signatures, reader.min_equal)
    if not len(candidates):
        return
    documents = distinct[candidates]
    sets = reader.read_shingle_sets(documents, len(duplicates.original))
    original, similarity = match_to_kept(reader, signatures, candidates, sets, np.arange(len(candidates)))
    copies = original != NONE
    duplicates.original[documents[copies]] = documents[original[copies]]
    duplicates.jaccard[documents[copies]] = similarity[copies]


def match_to_kept(
    reader: CorpusReader,
    signatures: SignatureTable,
    signature_rows: NDArray[np.int64],
    sets: ShingleSets,
    set_rows: NDArray[np.int64],
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Find for each of n documents, in order of precedence, the first kept one that it is a near copy of.

    Args:
        reader: threshold, scheme and memory budget.
        signatures: the table that has the documents' signatures.
        signature_rows: (n,) their rows in it, ascending.
        sets: the documents' shingle sets.
        set_rows: (n,) their rows in it, ascending.

    Returns:
        (n,) the place of the original among the n documents, or `NONE`; and (n,) the Jaccard index with it.
    """
    import numpy as np

    from textbookgen_dedup.lsh.lsh_kernels import BandChains, DocumentBlock, SetBlock, SignatureBlock, match_block

    def read(rows: slice) -> DocumentBlock:
        own = signature_rows[rows]
        block = SignatureBlock(signatures.bands.at(own), signatures.low_bytes.at(own))
        return DocumentBlock(rows.start, block, SetBlock(*sets.at(set_rows[rows])))

    original, similarity = np.full(len(signature_rows), NONE, np.uint32), np.zeros(len(signature_rows))
    costs = 8 * sets.sizes[set_rows] + 16 * reader.scheme.bands + reader.scheme.permutations + 4
    blocks = reader.buffer.blocks(costs)
    for at, rows in enumerate(blocks):
        indexed = read(rows)
        chains = BandChains.empty(len(indexed.signatures.bands), reader.scheme.bands)
        for other in blocks[at:]:
            queries = indexed if other is rows else read(other)
            match_block(queries, indexed, chains, reader.min_equal, reader.threshold, original, similarity, queries is indexed)
            del queries  # before the next one is read
    return original, similarity


def _resolve_chains(duplicates: Duplicates) -> None:
    """Name the kept document where the original of an exact copy was itself dropped as a near copy."""
    exact = duplicates.exact.nonzero()[0]
    originals = duplicates.original[exact]
    indirect = exact[duplicates.original[originals] != NONE]
    via = duplicates.original[indirect]
    duplicates.original[indirect] = duplicates.original[via]
    duplicates.jaccard[indirect] = duplicates.jaccard[via]
    duplicates.exact[indirect] = False
