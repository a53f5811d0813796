"""Candidate generation: documents that share a band with another one and are similar to it by signature.

Bands are sorted one at a time, so that memory holds one band of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

from textbookgen_dedup.lsh.spill import SpillArray, SpillBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_GROUP = 64  # if more documents share a band hash, all become candidates without comparing their signatures


@dataclass
class SignatureTable:
    """Band hashes and the low bytes of signatures, by row.

    Band hashes that do not fit in memory are also written to files band by band (and, where a band is too large to be sorted
    in memory, split by the first bits of the hash), as uint64 with the hash in the upper and the row in the lower half.

    Attributes:
        bands: (n, bands) uint32.
        low_bytes: (n, permutations) uint8.
        buffer: the memory budget.
    """

    bands: SpillArray
    low_bytes: SpillArray
    buffer: SpillBuffer
    _files: list[list[IO[bytes]]] = field(default_factory=list)

    @classmethod
    def allocate(cls, buffer: SpillBuffer, documents: int, bands: int, permutations: int) -> SignatureTable:
        """Allocate the signatures of this number of documents."""
        import numpy as np

        hashes = buffer.array("bands", (documents, bands), np.uint32)
        table = cls(hashes, buffer.array("bytes", (documents, permutations), np.uint8), buffer)
        if hashes.memory is None:
            slices = 1 << max(0, (8 * documents // (buffer.budget // 8)).bit_length())
            names = [[buffer.folder / f"band-{band}-{part}" for part in range(slices)] for band in range(bands)]
            table._files = [[name.open("wb") for name in band_names] for band_names in names]
        return table

    def put(self, rows: NDArray[np.uint32], bands: NDArray[np.uint32], low_bytes: NDArray[np.uint8]) -> None:
        """Store the signatures of these rows."""
        self.bands.writable()[rows] = bands
        self.low_bytes.writable()[rows] = low_bytes
        for band, files in enumerate(self._files):
            _append(_entries(bands[:, band], rows), files)

    def sorted_bands(self) -> Iterator[NDArray[np.uint64]]:
        """Yield the entries of each band, or of each slice of a band, sorted."""
        import numpy as np

        if self.bands.memory is not None:
            rows = np.arange(len(self.bands), dtype=np.uint32)
            for band in range(self.bands.shape[1]):
                yield np.sort(_entries(self.bands.memory[:, band], rows))
            return
        for file in (file for files in self._files for file in files):
            file.close()
            yield np.sort(np.fromfile(file.name, np.uint64))
            Path(file.name).unlink()


def _entries(hashes: NDArray[np.uint32], rows: NDArray[np.uint32]) -> NDArray[np.uint64]:
    import numpy as np

    return (hashes.astype(np.uint64) << np.uint64(32)) | rows


def _append(entries: NDArray[np.uint64], files: list[IO[bytes]]) -> None:
    """Append entries to the file of their slice, given by the first bits of the hash."""
    import numpy as np

    if len(files) == 1:
        files[0].write(entries.tobytes())
        return
    parts = entries >> np.uint64(64 - (len(files).bit_length() - 1))
    for number, file in enumerate(files):
        file.write(entries[parts == number].tobytes())


def find_candidates(signatures: SignatureTable, min_equal: int) -> NDArray[np.int64]:
    """Return the rows of documents that share a band and `min_equal` signature values with another, ascending.

    Documents that share a band with more than `_MAX_GROUP` others are returned whatever their signatures.
    """
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels

    marked = np.zeros(len(signatures.bands), np.bool_)
    capacity = min(max(signatures.buffer.budget // 512, 2 * _MAX_GROUP**2), 1 << 21)  # 8 bytes each, and 8 more to sort them
    pairs, filled = np.empty(capacity, np.uint64), 0
    for entries in signatures.sorted_bands():
        at = 0
        while at < len(entries):
            at, filled = lsh_kernels.pair_up(entries, at, _MAX_GROUP, marked, pairs, filled)
            if at < len(entries) or signatures.low_bytes.memory is not None:
                _mark_similar(pairs[:filled], signatures, min_equal, marked)
                filled = 0
    _mark_similar(pairs[:filled], signatures, min_equal, marked)
    return marked.nonzero()[0]


def _mark_similar(pairs: NDArray[np.uint64], signatures: SignatureTable, min_equal: int, marked: NDArray[np.bool_]) -> None:
    """Mark the pairs whose signatures are similar; signatures on disk are read two blocks at a time."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels

    low_bytes = signatures.low_bytes
    if low_bytes.memory is not None:
        lsh_kernels.mark_similar(pairs, low_bytes.memory, 0, low_bytes.memory, 0, min_equal, marked)
        return
    size = max(1, signatures.buffer.budget // 8 // low_bytes.shape[1])
    one, other = (pairs >> np.uint64(32)) // size, (pairs & np.uint64(0xFFFFFFFF)) // size
    order = np.lexsort((other, one))
    pairs, one, other = pairs[order], one[order], other[order]
    bounds = [0, *(np.flatnonzero((one[1:] != one[:-1]) | (other[1:] != other[:-1])) + 1).tolist(), len(pairs)]
    held: dict[int, NDArray[np.uint8]] = {}
    for low, high in pairwise(bounds):
        if low == high:
            continue
        a, b = int(one[low]), int(other[low])
        held = {block: values for block, values in held.items() if block in (a, b)}
        for block in (a, b):
            if block not in held:
                held[block] = low_bytes.between(block * size, min((block + 1) * size, len(low_bytes)))
        lsh_kernels.mark_similar(pairs[low:high], held[a], a * size, held[b], b * size, min_equal, marked)
