"""Documents that have a likeness among the others, going by signatures: bands sorted one at a time, and pairs looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

from textbookgen_dedup.lsh.spill import Rows, SpillBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CROWD = 64  # of more documents in a band, all are suspects without a look


@dataclass
class SignatureTable:
    """Of documents by place: bands, and as `lows` the low byte of each value of the signature.

    Where the bands are in a file, they are also spilled band by band (and, where one is too big to be sorted in memory, by
    the first bits of its values), as numbers of which the upper half is the value and the lower half the place.
    """

    bands: Rows
    lows: Rows
    room: SpillBuffer
    _spills: list[list[IO[bytes]]] = field(default_factory=list)

    @classmethod
    def of(cls, room: SpillBuffer, many: int, bands: int, permutations: int) -> SignatureTable:
        """Room for the signs of so many documents."""
        import numpy as np

        signs = cls(room.rows("bands", (many, bands), np.uint32), room.rows("bytes", (many, permutations), np.uint8), room)
        if signs.bands.memory is None:
            slices = 1 << max(0, (8 * many // (room.bytes // 8)).bit_length())
            names = [[room.folder / f"band-{band}-{part}" for part in range(slices)] for band in range(bands)]
            signs._spills = [[name.open("wb") for name in item] for item in names]
        return signs

    def put(self, places: NDArray[np.uint32], bands: NDArray[np.uint32], bytes_: NDArray[np.uint8]) -> None:
        """Signs, each to its place."""
        self.bands.writable()[places] = bands
        self.lows.writable()[places] = bytes_
        for band, files in enumerate(self._spills):
            _spill(_entries(bands[:, band], places), files)

    def by_band(self) -> Iterator[NDArray[np.uint64]]:
        """The entries of each band, sorted."""
        import numpy as np

        if self.bands.memory is not None:
            places = np.arange(len(self.bands), dtype=np.uint32)
            for band in range(self.bands.shape[1]):
                yield np.sort(_entries(self.bands.memory[:, band], places))
            return
        for file in (file for files in self._spills for file in files):
            file.close()
            yield np.sort(np.fromfile(file.name, np.uint64))
            Path(file.name).unlink()


def _entries(values: NDArray[np.uint32], places: NDArray[np.uint32]) -> NDArray[np.uint64]:
    import numpy as np

    return (values.astype(np.uint64) << np.uint64(32)) | places


def _spill(entries: NDArray[np.uint64], files: list[IO[bytes]]) -> None:
    import numpy as np

    if len(files) == 1:
        files[0].write(entries.tobytes())
        return
    parts = entries >> np.uint64(64 - (len(files).bit_length() - 1))
    for number, file in enumerate(files):
        file.write(entries[parts == number].tobytes())


def suspects(signs: SignatureTable, least: int) -> NDArray[np.int64]:
    """The places of documents that share a band and `least` values with another (or a band with very many), ascending."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels as chains

    marked = np.zeros(len(signs.bands), np.bool_)
    room = min(max(signs.room.bytes // 512, 2 * _CROWD**2), 1 << 21)  # eight bytes each, and as much again to sort them
    pairs, filled = np.empty(room, np.uint64), 0
    for entries in signs.by_band():
        at = 0
        while at < len(entries):
            at, filled = chains.pair_up(entries, at, _CROWD, marked, pairs, filled)
            if at < len(entries) or signs.lows.memory is not None:
                _look(pairs[:filled], signs, least, marked)
                filled = 0
    _look(pairs[:filled], signs, least, marked)
    return marked.nonzero()[0]


def _look(pairs: NDArray[np.uint64], signs: SignatureTable, least: int, marked: NDArray[np.bool_]) -> None:
    """Marks the pairs whose signatures are alike; those of a file are read in blocks, two at a time."""
    import numpy as np

    from textbookgen_dedup.lsh import lsh_kernels as chains

    if signs.lows.memory is not None:
        chains.compare(pairs, signs.lows.memory, 0, signs.lows.memory, 0, least, marked)
        return
    size = max(1, signs.room.bytes // 8 // signs.lows.shape[1])
    one, other = (pairs >> np.uint64(32)) // size, (pairs & np.uint64(0xFFFFFFFF)) // size
    order = np.lexsort((other, one))
    pairs, one, other = pairs[order], one[order], other[order]
    bounds = [0, *(np.flatnonzero((one[1:] != one[:-1]) | (other[1:] != other[:-1])) + 1).tolist(), len(pairs)]
    held: dict[int, NDArray[np.uint8]] = {}
    for low, high in pairwise(bounds):
        if low == high:
            continue
        blocks = int(one[low]), int(other[low])
        held = {block: item for block, item in held.items() if block in blocks}
        for block in blocks:
            if block not in held:
                held[block] = signs.lows.between(block * size, min((block + 1) * size, len(signs.lows)))
        a, b = blocks
        chains.compare(pairs[low:high], held[a], a * size, held[b], b * size, least, marked)
