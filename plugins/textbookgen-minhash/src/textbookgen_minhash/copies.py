"""Finding copies among sketches: exact ones by hash, near ones by bands, every one of the latter verified on its text.

Documents are settled in order of precedence: one is dropped if a kept one before it is alike, and else is kept. That
is the same whatever the memory, the parts or the workers, no document is dropped for the sake of a dropped one (which
is how connected components lose what has no near copy), and documents that come later change nothing for those before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from textbookgen_minhash.sketches import Scheme, shingle_sets

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


@dataclass(frozen=True)
class Room:
    """Where big arrays go: to memory while they are small, else to files in a folder that is thrown away."""

    folder: Path
    bytes: int

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array of this shape; its content is not set."""
        import numpy as np

        if math.prod(shape) * np.dtype(dtype).itemsize <= self.bytes // 4:
            return np.empty(shape, dtype)
        return np.asarray(np.memmap(self.folder / name, dtype, "w+", shape=shape))

    def block(self, bands: int, permutations: int) -> int:
        """How many documents an index may hold: bands, chains and heads of four bytes, one byte a permutation."""
        return max(1024, self.bytes // 2 // (16 * bands + permutations + 4))


def find_originals(
    sketches: pl.LazyFrame,
    corpus: pl.LazyFrame,
    compared: Callable[[pl.DataFrame], pl.Series],
    precedence: NDArray[np.int64],
    scheme: Scheme,
    threshold: float,
    room: Room,
) -> Originals:
    """The original of each document.

    `compared` gives what counts of a text; `precedence` lists documents by place in the corpus, the first to stay first.
    """
    import numpy as np

    n = len(precedence)
    found = Originals(np.full(n, NONE, np.uint32), np.zeros(n), np.zeros(n, np.bool_))
    firsts = exact_copies(sketches, precedence, found)
    if threshold < 1 and len(firsts) > 1:
        _near_copies(Sieve(sketches, corpus, compared, scheme, threshold, room), firsts, found)
    _follow(found)
    return found


def exact_copies(sketches: pl.LazyFrame, precedence: NDArray[np.int64], found: Originals) -> NDArray[np.int64]:
    """Notes copies with the same words in the same order; returns, in order of precedence, one of each."""
    import numpy as np

    exact = sketches.select("exact").collect().to_series().to_numpy()[precedence]
    order = np.lexsort((exact[:, 1], exact[:, 0]))  # stable: of equal ones, the first in precedence comes first
    ordered = exact[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))]
    copies, originals = precedence[order[~starts]], precedence[first[~starts]]
    found.of[copies], found.jaccard[copies], found.exact[copies] = originals, 1.0, True
    return precedence[np.sort(order[starts])]


@dataclass(frozen=True)
class Sieve:
    """What near copies are looked for in, and how."""

    sketches: pl.LazyFrame
    corpus: pl.LazyFrame
    compared: Callable[[pl.DataFrame], pl.Series]
    scheme: Scheme
    threshold: float
    room: Room

    def least(self) -> int:
        """How many values two signatures must share for their documents to be worth comparing."""
        spread = math.sqrt(self.threshold * (1 - self.threshold) / self.scheme.permutations)
        return max(1, math.ceil((self.threshold - _DEVIATIONS * spread) * self.scheme.permutations))


@dataclass
class Signs:
    """Bands and the low byte of each value of the signature, for some documents in order of precedence."""

    bands: NDArray[np.uint32]
    bytes: NDArray[np.uint8]

    def blocks(self, size: int) -> Iterator[tuple[int, NDArray[np.uint32], NDArray[np.uint8]]]:
        """Some documents at a time: the place of the first, bands and bytes."""
        for low in range(0, len(self.bands), size):
            yield low, self.bands[low : low + size], self.bytes[low : low + size]

    def only(self, marked: NDArray[np.bool_]) -> Signs:
        """The signs of the marked documents."""
        return Signs(self.bands[marked], self.bytes[marked])


@dataclass
class Index:
    """A block of documents by band: `heads` has the last document of each chain, `following` the one before."""

    low: int
    bands: NDArray[np.uint32]
    bytes: NDArray[np.uint8]
    heads: NDArray[np.uint32]
    following: NDArray[np.uint32]
    seen: NDArray[np.uint32]

    @classmethod
    def empty(cls, low: int, bands: NDArray[np.uint32], bytes_: NDArray[np.uint8]) -> Index:
        """An index of a block that no document has joined."""
        import numpy as np

        n, many = bands.shape
        heads = np.full((many, 1 << max(4, math.ceil(math.log2(n)))), NONE, np.uint32)
        return cls(low, bands, bytes_, heads, np.empty((n, many), np.uint32), np.full(n, NONE, np.uint32))

    def fields(self) -> tuple[Any, ...]:
        """What the kernels take."""
        return self.bands, self.bytes, self.low, self.heads, self.following


def _near_copies(sieve: Sieve, firsts: NDArray[np.int64], found: Originals) -> None:
    """Notes near copies among documents that are no exact copies of each other."""
    signs = read_signs(sieve, firsts, len(found.of))
    marked = _with_company(sieve, signs)
    suspects = firsts[marked]
    if not len(suspects):
        return
    sets, ends = read_sets(sieve, suspects, len(found.of))
    original, similarity = _settle(sieve, signs.only(marked), sets, ends)
    copies = original != NONE
    found.of[suspects[copies]] = suspects[original[copies]]
    found.jaccard[suspects[copies]] = similarity[copies]


def _places(wanted: NDArray[np.int64], n: int) -> NDArray[np.uint32]:
    """For each document of the corpus its place among the wanted ones, or NONE."""
    import numpy as np

    places = np.full(n, NONE, np.uint32)
    places[wanted] = np.arange(len(wanted), dtype=np.uint32)
    return places


def read_signs(sieve: Sieve, firsts: NDArray[np.int64], n: int) -> Signs:
    """Bands and bytes of some documents, in the order given; `n` is the size of the corpus."""
    import numpy as np

    from textbookgen_minhash import kernels

    scheme, places, low = sieve.scheme, _places(firsts, n), 0
    signs = Signs(
        sieve.room.array("bands", (len(firsts), scheme.bands), np.uint32),
        sieve.room.array("bytes", (len(firsts), scheme.permutations), np.uint8),
    )
    for batch in sieve.sketches.select("words", "signature").collect_batches(chunk_size=20_000, maintain_order=True):
        here = places[low : low + len(batch)]
        low += len(batch)
        rows = here != NONE
        signatures = batch["signature"].to_numpy()[rows]
        bands = np.empty((len(signatures), scheme.bands), np.uint32)
        kernels.bands_of(signatures, scheme.rows, bands)
        signs.bands[here[rows]], signs.bytes[here[rows]] = bands, signatures.astype(np.uint8)
    return signs


def _with_company(sieve: Sieve, signs: Signs) -> NDArray[np.bool_]:
    """Which documents have another whose signature is like theirs."""
    import numpy as np

    from textbookgen_minhash import chains

    marked = np.zeros(len(signs.bands), np.bool_)
    size = sieve.room.block(sieve.scheme.bands, sieve.scheme.permutations)
    for start, bands, bytes_ in signs.blocks(size):
        index = Index.empty(start, bands, bytes_)
        chains.index_all(index.bands, index.heads, index.following)
        for low, others, their_bytes in signs.blocks(size):
            chains.mark(others, their_bytes, low, *index.fields(), sieve.least(), index.seen, marked)
    return marked


def read_sets(sieve: Sieve, suspects: NDArray[np.int64], n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The shingle sets of the suspects, read from their texts: end to end by place, and where each begins (and ends)."""
    import numpy as np

    places = _places(suspects, n)
    words = sieve.sketches.select("words").collect().to_series().to_numpy()[suspects]
    ends: NDArray[np.int64] = np.zeros(len(suspects) + 1, np.int64)
    np.cumsum(np.maximum(words.astype(np.int64) - sieve.scheme.size + 1, 1), out=ends[1:])  # room enough: repeats leave less
    sets = sieve.room.array("sets", (int(ends[-1]),), np.uint64)
    lengths, low = np.zeros(len(suspects), np.int64), 0
    for batch in sieve.corpus.collect_batches(chunk_size=5_000, maintain_order=True):
        here = places[low : low + len(batch)]
        low += len(batch)
        rows = here != NONE
        values, value_ends = shingle_sets(sieve.compared(batch.filter(pl.Series(rows))), sieve.scheme.size)
        begin = 0
        for place, end in zip(here[rows].tolist(), value_ends.tolist(), strict=True):
            sets[ends[place] : ends[place] + end - begin] = values[begin:end]
            lengths[place] = end - begin
            begin = end
    return sets, np.stack([ends[:-1], ends[:-1] + lengths])


def _settle(
    sieve: Sieve, signs: Signs, sets: NDArray[np.uint64], spans: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """For each suspect, in order of precedence, the first kept one that it is alike."""
    import numpy as np

    from textbookgen_minhash import chains

    original, similarity = np.full(len(signs.bands), NONE, np.uint32), np.zeros(len(signs.bands))
    size = sieve.room.block(sieve.scheme.bands, sieve.scheme.permutations)
    for start, bands, bytes_ in signs.blocks(size):
        index = Index.empty(start, bands, bytes_)
        for low, others, their_bytes in signs.blocks(size):
            if low >= start:
                chains.settle(
                    others, their_bytes, low, *index.fields(), sieve.least(), index.seen,
                    sets, spans, sets, spans, sieve.threshold, original, similarity, 0, low == start,
                )  # fmt: skip
    return original, similarity


def _follow(found: Originals) -> None:
    """Names the kept document where an exact copy's original was itself dropped as a near copy."""
    dropped = found.exact.nonzero()[0]
    through = found.of[dropped]
    further = dropped[found.of[through] != NONE]
    via = found.of[further]
    found.of[further], found.jaccard[further], found.exact[further] = found.of[via], found.jaccard[via], False
