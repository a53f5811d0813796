"""Arrays that grow with the corpus: in memory while there is room, else in files that are read and written by pieces."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PIECE = 4 << 20  # bytes that are read at a time to pick from


@contextmanager
def emptied(folder: Path | None) -> Iterator[Path]:
    """A folder for files that are thrown away, within this one; what a killed run left there is thrown away first."""
    if folder is None:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere)
        return
    place = folder / "copies"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    yield place
    shutil.rmtree(place)


@dataclass
class SpillBuffer:
    """So many bytes of memory, one half for arrays that stay and one for blocks at work; and a folder for the rest."""

    folder: Path
    bytes: int
    taken: int = field(default=0, init=False)

    @classmethod
    def of(cls, folder: Path, mib: int) -> SpillBuffer:
        """A room of so many MiB."""
        return cls(folder, mib << 20)

    def rows(self, name: str, shape: tuple[int, ...], kind: Any) -> Rows:
        """An array of this shape; its content is not set."""
        import numpy as np

        size, file = math.prod(shape) * np.dtype(kind).itemsize, self.folder / name
        if self.taken + size <= self.bytes // 2:
            self.taken += size
            return Rows(shape, np.dtype(kind), file, np.empty(shape, kind))
        with file.open("wb") as empty:
            empty.truncate(size)
        return Rows(shape, np.dtype(kind), file, None)

    def blocks(self, costs: NDArray[np.int64]) -> list[slice]:
        """Rows of so many bytes each in blocks of an eighth of the room; a row alone may be larger."""
        import numpy as np

        ends, blocks, low = np.cumsum(costs), [], 0
        while low < len(costs):
            before = int(ends[low - 1]) if low else 0
            high = max(low + 1, int(np.searchsorted(ends, before + self.bytes // 8, "right")))
            blocks.append(slice(low, high))
            low = high
        return blocks


@dataclass(frozen=True)
class Rows:
    """An array, by rows: in `memory` or else in a `file`, of which no more is mapped than is written at the time."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    file: Path
    memory: NDArray[Any] | None

    def __len__(self) -> int:
        return self.shape[0]

    def writable(self) -> NDArray[Any]:
        """The whole to write to; let go of it soon, for what is written to a mapped file stays in memory till then."""
        import numpy as np

        if self.memory is not None:
            return self.memory
        mapped: NDArray[Any] = np.memmap(self.file, self.kind, "r+", shape=self.shape)
        return mapped

    def between(self, low: int, high: int) -> NDArray[Any]:
        """Some rows that follow each other."""
        import numpy as np

        if self.memory is not None:
            return self.memory[low:high]
        width = math.prod(self.shape[1:])
        result = np.fromfile(self.file, self.kind, (high - low) * width, offset=low * width * self.kind.itemsize)
        return result.reshape(high - low, *self.shape[1:])

    def at(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at these places, which ascend."""
        import numpy as np

        if self.memory is not None:
            return self.memory[places]
        step = max(1, _PIECE // max(1, math.prod(self.shape[1:]) * self.kind.itemsize))
        out = np.empty((len(places), *self.shape[1:]), self.kind)
        for low, high in _pieces(places, step):
            first = int(places[low])
            out[low:high] = self.between(first, int(places[high - 1]) + 1)[places[low:high] - first]
        return out


def _pieces(places: NDArray[np.int64], step: int) -> Iterator[tuple[int, int]]:
    """Ranges of ascending places that are no further apart than `step`."""
    import numpy as np

    low = 0
    while low < len(places):
        high = max(low + 1, int(np.searchsorted(places, places[low] + step, "right")))
        yield low, high
        low = high


@dataclass(frozen=True)
class Sets:
    """Sorted sets of 64-bit shingle hashes: set `i` is `values[begins[i] : begins[i] + sizes[i]]`."""

    values: Rows
    begins: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, room: SpillBuffer, most: NDArray[np.int64]) -> Sets:
        """Room for sets of at most these sizes."""
        import numpy as np

        ends = np.cumsum(most, dtype=np.int64)
        total = int(ends[-1]) if len(ends) else 0
        return cls(room.rows("sets", (total,), np.uint64), ends - most, np.zeros(len(most), np.int64))

    def put(self, places: NDArray[np.int64], values: NDArray[np.uint64], ends: NDArray[np.int64]) -> None:
        """Sets end to end, each to its place."""
        from textbookgen_dedup.lsh import kernels

        if len(places):
            kernels.lay(values, ends, places, self.begins, self.sizes, self.values.writable())

    def at(self, places: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Sets at ascending places: values, and where each begins and ends in them."""
        import numpy as np

        if not len(places):
            return np.empty(0, np.uint64), np.zeros((2, 0), np.int64)
        begins, sizes = self.begins[places], self.sizes[places]
        if len(places) == places[-1] - places[0] + 1:
            return self.values.between(int(begins[0]), int(begins[-1] + sizes[-1])), np.stack(
                [begins, begins + sizes]
            ) - begins[0]
        ends = np.cumsum(sizes)
        out = np.empty(int(ends[-1]), np.uint64)
        for low, high in _pieces(begins, _PIECE // 8):
            first = int(begins[low])
            result = self.values.between(first, int(begins[high - 1] + sizes[high - 1]))
            for at in range(low, high):
                out[ends[at] - sizes[at] : ends[at]] = result[begins[at] - first : begins[at] - first + sizes[at]]
        return out, np.stack([ends - sizes, ends])
