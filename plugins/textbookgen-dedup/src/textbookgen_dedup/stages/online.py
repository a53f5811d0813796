"""`dedup/online`: while a generator writes, copies of what was accepted before do not count."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Diagnostic, Filter, RunError, StageInputs
from textbookgen_dedup.lsh.signatures import Scheme, scheme_for, shingle_sets, sketch
from textbookgen_dedup.text.words import text_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OnlineDedup(Filter):
    """Refuses near copies of what a generator accepted before, as they are drawn: for `accept`, before dearer judges.

    MinHash finds candidates and the true Jaccard index of their shingles decides, as in `dedup/minhash`. In memory an
    accepted document takes some 300 bytes; its shingles wait on disk.
    """

    name: ClassVar[str] = "online"

    threshold: float = Field(
        0.8, gt=0, le=1, description="true Jaccard index of word shingles from which a document is a near copy"
    )
    shingle: int = Field(5, ge=1, description="words in a shingle")
    permutations: int = Field(128, ge=16, description="values in a MinHash signature")
    _memory: Memory | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Complains where there is nothing accepted before to compare with."""
        if self.inputs:
            yield Diagnostic("from", "is not for a step of its own", "`dedup/minhash` looks for copies in what flows in")

    def prepare(self, inputs: StageInputs) -> None:
        """Begins with nothing accepted."""
        inputs.folder.mkdir(parents=True, exist_ok=True)
        scheme = scheme_for(self.threshold, self.shingle, self.permutations)
        self._memory = Memory(scheme, tempfile.TemporaryFile(dir=inputs.folder))  # noqa: SIM115  (Memory closes it)

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts; a document is also compared with those that stay before it in the same part."""
        result = list(self._copies(docs))
        reasons = [None if copy is None else "near copy" for copy in result]
        return pl.DataFrame(
            {
                "id": docs["id"],
                "keep": pl.Series([copy is None for copy in result], dtype=pl.Boolean),
                "reason": pl.Series(reasons, dtype=pl.String),
                "score": pl.Series([copy and copy[1] for copy in result], dtype=pl.Float64),
                "detail": pl.Series([copy and f"Jaccard {copy[1]:.4f} with {copy[0]}" for copy in result], dtype=pl.String),
            }
        )

    def add_accepted(self, accepted: pl.DataFrame) -> None:
        """Remembers what was accepted."""
        self._remembered().add(Sketched.of(accepted, self._remembered().scheme))

    def _remembered(self) -> Memory:
        if self._memory is None:
            raise RunError("was asked to judge before it was prepared")
        return self._memory

    def _copies(self, docs: pl.DataFrame) -> Iterator[tuple[str, float] | None]:
        """For each document one that it is a copy of and how like they are; None if it is new."""
        memory = self._remembered()
        part = Sketched.of(docs, memory.scheme)
        before, within = memory.candidates(part), Chunk.of(part.bands, 0).candidates(part.bands)
        stays: set[int] = set()
        for at in range(len(part.ids)):
            own = part.shingles(at)
            likes = [(memory.ids[item], _jaccard(own, memory.shingles(item))) for item in sorted(before.get(at, ()))]
            earlier = sorted(item for item in within.get(at, ()) if item in stays)
            likes += [(part.ids[item], _jaccard(own, part.shingles(item))) for item in earlier]
            copy = max(likes, key=lambda item: item[1], default=("", -1.0))
            if copy[1] >= self.threshold:
                yield copy
            else:
                stays.add(at)
                yield None


@dataclass
class Sketched:
    """Some documents: their ids, a hash for each band of their signatures, and their sets of shingles end to end."""

    ids: list[str]
    bands: NDArray[np.uint32]
    sets: NDArray[np.uint64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, docs: pl.DataFrame, scheme: Scheme) -> Sketched:
        """The sketches of these rows."""
        import numpy as np

        from textbookgen_dedup.lsh.kernels import bands_of

        texts = text_of(docs)
        signatures = sketch(docs["id"], texts, scheme)["signature"].to_numpy()
        bands = np.empty((len(texts), scheme.bands), np.uint32)
        bands_of(np.ascontiguousarray(signatures), scheme.rows, bands)
        sets, ends = shingle_sets(texts, scheme.size)
        return cls(docs["id"].to_list(), bands, sets, ends)

    def shingles(self, at: int) -> NDArray[np.uint64]:
        """The set of one document."""
        return self.sets[self.ends[at - 1] if at else 0 : self.ends[at]]


@dataclass
class Chunk:
    """Documents by band: for each band the hashes in order, and whose they are."""

    hashes: NDArray[np.uint32]
    whose: NDArray[np.uint32]

    @classmethod
    def of(cls, bands: NDArray[np.uint32], first: int) -> Chunk:
        """A chunk of these documents, numbered from `first`."""
        import numpy as np

        order = np.argsort(bands, axis=0, kind="stable")
        return cls(np.take_along_axis(bands, order, axis=0).T.copy(), (order.T + first).astype(np.uint32))

    def joined(self, other: Chunk) -> Chunk:
        """Both as one."""
        import numpy as np

        hashes = np.concatenate([self.hashes, other.hashes], axis=1)
        order = np.argsort(hashes, axis=1, kind="stable")
        whose = np.concatenate([self.whose, other.whose], axis=1)
        return Chunk(np.take_along_axis(hashes, order, axis=1), np.take_along_axis(whose, order, axis=1))

    def candidates(self, bands: NDArray[np.uint32]) -> dict[int, set[int]]:
        """For each document (by row) those of the chunk that share a band with it, itself included."""
        import numpy as np

        result: dict[int, set[int]] = {}
        for hashes, whose, wanted in zip(self.hashes, self.whose, bands.T, strict=True):
            low, high = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
            for row in np.flatnonzero(high > low):
                result.setdefault(int(row), set()).update(whose[low[row] : high[row]].tolist())
        return result


@dataclass
class Memory:
    """What was accepted: bands in memory, in chunks that double in size, and sets of shingles in a file."""

    scheme: Scheme
    file: IO[bytes]
    ids: list[str] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    def add(self, docs: Sketched) -> None:
        """Remembers these documents."""
        if not docs.ids:
            return
        chunk = Chunk.of(docs.bands, len(self.ids))
        while self.chunks and self.chunks[-1].whose.shape[1] <= chunk.whose.shape[1]:
            chunk = self.chunks.pop().joined(chunk)
        self.chunks.append(chunk)
        start = self.ends[-1] if self.ends else 0
        self.file.seek(8 * start)
        self.file.write(docs.sets.tobytes())
        self.ends += [start + int(end) for end in docs.ends]
        self.ids += docs.ids

    def candidates(self, docs: Sketched) -> dict[int, set[int]]:
        """For each document (by row) those remembered that share a band with it."""
        result: dict[int, set[int]] = {}
        for chunk in self.chunks:
            for row, others in chunk.candidates(docs.bands).items():
                result.setdefault(row, set()).update(others)
        return result

    def shingles(self, number: int) -> NDArray[np.uint64]:
        """The set of one document."""
        import numpy as np

        low = self.ends[number - 1] if number else 0
        self.file.seek(8 * low)
        return np.frombuffer(self.file.read(8 * (self.ends[number] - low)), np.uint64)


def _jaccard(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Of two sets; two empty ones are alike."""
    import numpy as np

    both = len(np.intersect1d(one, other, assume_unique=True))
    either = len(one) + len(other) - both
    return both / either if either else 1.0
