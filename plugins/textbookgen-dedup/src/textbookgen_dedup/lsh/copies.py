"""Finding copies among sketches: exact ones by hash, near ones by bands, every one of the latter verified on its text.

Documents are settled in order of precedence: one is dropped if a kept one before it is alike, and else is kept. That
is the same whatever the memory, the parts or the workers, no document is dropped for the sake of a dropped one (which
is how connected components lose what has no near copy), and documents that come later change nothing for those before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from textbookgen_dedup.lsh.candidates import SignatureTable, suspects
from textbookgen_dedup.lsh.signatures import Scheme, shingle_slices
from textbookgen_dedup.lsh.spill import Sets, SpillBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NONE = 0xFFFFFFFF
_DEVIATIONS = 4  # a pair at the threshold has a signature this many deviations below it once in 30,000 times


@dataclass(frozen=True)
class Originals:
    """For each document, by place in the corpus: the one it is a copy of (or NONE), how like, and whether word by word."""

    of: NDArray[np.uint32]
    jaccard: NDArray[np.float64]
    exact: NDArray[np.bool_]


def find_originals(
    sketches: pl.LazyFrame,
    corpus: pl.LazyFrame,
    compared: Callable[[pl.DataFrame], pl.Series],
    precedence: NDArray[np.int64],
    scheme: Scheme,
    threshold: float,
    room: SpillBuffer,
) -> Originals:
    """The original of each document.

    `compared` gives what counts of a text; `precedence` lists documents by place in the corpus, the first to stay first.
    """
    import numpy as np

    n = len(precedence)
    result = Originals(np.full(n, NONE, np.uint32), np.zeros(n), np.zeros(n, np.bool_))
    firsts = exact_copies(sketches, precedence, result)
    if threshold < 1 and len(firsts) > 1:
        _near_copies(Sieve(sketches, corpus, compared, scheme, threshold, room), firsts, result)
    _follow(result)
    return result


def exact_copies(sketches: pl.LazyFrame, precedence: NDArray[np.int64], result: Originals) -> NDArray[np.int64]:
    """Notes copies with the same words in the same order; returns, in order of precedence, one of each."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels as chains

    exact = sketches.select("exact").collect().to_series().to_numpy()
    order = precedence[np.lexsort((exact[precedence, 1], exact[precedence, 0]))]  # stable: of equal ones, the first is first
    original = np.full(len(order), NONE, np.uint32)
    chains.follow_equal(exact, order, original)
    copies = original != NONE
    result.of[copies], result.jaccard[copies], result.exact[copies] = original[copies], 1.0, True
    kept: NDArray[np.int64] = precedence[~copies[precedence]]
    return kept


@dataclass(frozen=True)
class Sieve:
    """What near copies are looked for in, and how."""

    sketches: pl.LazyFrame
    corpus: pl.LazyFrame
    compared: Callable[[pl.DataFrame], pl.Series]
    scheme: Scheme
    threshold: float
    room: SpillBuffer

    def least(self) -> int:
        """How many values two signatures must share for their documents to be worth comparing."""
        spread = math.sqrt(self.threshold * (1 - self.threshold) / self.scheme.permutations)
        return max(1, math.ceil((self.threshold - _DEVIATIONS * spread) * self.scheme.permutations))

    def read_signs(self, wanted: NDArray[np.int64], n: int) -> SignatureTable:
        """Bands and bytes of some documents, in the order given; `n` is the size of the corpus."""
        import numpy as np

        from textbookgen_dedup.lsh import kernels

        places, low = _places(wanted, n), 0
        signs = SignatureTable.of(self.room, len(wanted), self.scheme.bands, self.scheme.permutations)
        for batch in self.sketches.select("signature").collect_batches(chunk_size=10_000, maintain_order=True):
            here = places[low : low + len(batch)]
            low += len(batch)
            rows = here != NONE
            signatures = batch["signature"].to_numpy()[rows]
            bands = np.empty((len(signatures), self.scheme.bands), np.uint32)
            kernels.bands_of(signatures, self.scheme.rows, bands)
            signs.put(here[rows], bands, signatures.astype(np.uint8))
        return signs

    def read_sets(self, wanted: NDArray[np.int64], n: int) -> Sets:
        """The shingle sets of some documents, in the order given, read from their texts."""
        import numpy as np

        places, low = _places(wanted, n), 0
        words = self.sketches.select("words").collect().to_series().to_numpy()[wanted].astype(np.int64)
        sets = Sets.of(self.room, np.maximum(words - self.scheme.size + 1, 1))  # room enough: repeats leave less
        for batch in self.corpus.collect_batches(chunk_size=2_000, maintain_order=True):
            here = places[low : low + len(batch)]
            low += len(batch)
            rows = here != NONE
            mine, texts = here[rows], self.compared(batch.filter(pl.Series(rows)))
            for some, values, ends in shingle_slices(texts, self.scheme.size):
                sets.put(mine[some], values, ends)
        return sets


def _places(wanted: NDArray[np.int64], n: int) -> NDArray[np.uint32]:
    """For each document of the corpus its place among the wanted ones, or NONE."""
    import numpy as np

    places = np.full(n, NONE, np.uint32)
    places[wanted] = np.arange(len(wanted), dtype=np.uint32)
    return places


def _near_copies(sieve: Sieve, firsts: NDArray[np.int64], result: Originals) -> None:
    """Notes near copies among documents that are no exact copies of each other."""
    import numpy as np

    signs = sieve.read_signs(firsts, len(result.of))
    chosen = suspects(signs, sieve.least())
    if not len(chosen):
        return
    suspected = firsts[chosen]
    sets = sieve.read_sets(suspected, len(result.of))
    original, similarity = settle(sieve, signs, chosen, sets, np.arange(len(chosen)))
    copies = original != NONE
    result.of[suspected[copies]] = suspected[original[copies]]
    result.jaccard[suspected[copies]] = similarity[copies]


@dataclass
class Block:
    """Some documents at work: signs, and sets with where each begins and ends."""

    low: int
    bands: NDArray[np.uint32]
    bytes: NDArray[np.uint8]
    sets: NDArray[np.uint64]
    spans: NDArray[np.int64]

    def index(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
        """Chains that no document has joined: the last of each, the one before, and for whom each was looked at."""
        import numpy as np

        n, many = self.bands.shape
        heads = np.full((many, 1 << max(4, math.ceil(math.log2(n)))), NONE, np.uint32)
        return heads, np.empty((n, many), np.uint32), np.full(n, NONE, np.uint32)


def settle(
    sieve: Sieve, signs: SignatureTable, sign_rows: NDArray[np.int64], sets: Sets, set_rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """For each document, in order of precedence, the first kept one that it is alike, by place in what is given."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels as chains

    def block(rows: slice) -> Block:
        mine = sign_rows[rows]
        return Block(rows.start, signs.bands.at(mine), signs.lows.at(mine), *sets.at(set_rows[rows]))

    original, similarity = np.full(len(sign_rows), NONE, np.uint32), np.zeros(len(sign_rows))
    blocks = sieve.room.blocks(8 * sets.sizes[set_rows] + 16 * sieve.scheme.bands + sieve.scheme.permutations + 4)
    for at, rows in enumerate(blocks):
        index = block(rows)
        heads, following, seen = index.index()
        for other in blocks[at:]:
            others = index if other is rows else block(other)
            chains.settle(
                others.bands, others.bytes, others.low, index.bands, index.bytes, index.low, heads, following,
                sieve.least(), seen, others.sets, others.spans, index.sets, index.spans, sieve.threshold,
                original, similarity, others is index,
            )  # fmt: skip
            del others  # before the next one is read
    return original, similarity


def _follow(result: Originals) -> None:
    """Names the kept document where an exact copy's original was itself dropped as a near copy."""
    dropped = result.exact.nonzero()[0]
    through = result.of[dropped]
    further = dropped[result.of[through] != NONE]
    via = result.of[further]
    result.of[further], result.jaccard[further], result.exact[further] = result.of[via], result.jaccard[via], False
