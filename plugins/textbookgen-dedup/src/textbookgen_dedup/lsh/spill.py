"""Arrays that grow with the corpus: in memory up to a budget, beyond it in files that are read in pieces."""

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

_PIECE_BYTES = 4 << 20  # bytes read at once to pick rows from


@contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """Yield an empty folder inside `parent` (or the system's temporary folder) and delete it afterwards.

    Files that an interrupted run left in it are deleted first.
    """
    if parent is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = parent / "dedup-scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class SpillBuffer:
    """A memory budget in bytes, half for arrays that stay and half for blocks in use, and a folder for the rest."""

    folder: Path
    budget: int
    allocated: int = field(default=0, init=False)

    @classmethod
    def of_mib(cls, folder: Path, mib: int) -> SpillBuffer:
        """Return a buffer with a budget of `mib` MiB."""
        return cls(folder, mib << 20)

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> SpillArray:
        """Allocate an array, uninitialized: in memory if the budget allows, else in the file `name`."""
        import numpy as np

        size, file = math.prod(shape) * np.dtype(dtype).itemsize, self.folder / name
        if self.allocated + size <= self.budget // 2:
            self.allocated += size
            return SpillArray(shape, np.dtype(dtype), file, np.empty(shape, dtype))
        with file.open("wb") as empty:
            empty.truncate(size)
        return SpillArray(shape, np.dtype(dtype), file, None)

    def blocks(self, costs: NDArray[np.int64]) -> list[slice]:
        """Split rows that take `costs` bytes each into blocks of an eighth of the budget; a row alone may be larger."""
        import numpy as np

        ends, blocks, low = np.cumsum(costs), [], 0
        while low < len(costs):
            before = int(ends[low - 1]) if low else 0
            high = max(low + 1, int(np.searchsorted(ends, before + self.budget // 8, "right")))
            blocks.append(slice(low, high))
            low = high
        return blocks


@dataclass(frozen=True)
class SpillArray:
    """An array in `memory`, or else in a `file` of which only the part being read or written is held."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    file: Path
    memory: NDArray[Any] | None

    def __len__(self) -> int:
        return self.shape[0]

    def writable(self) -> NDArray[Any]:
        """Return the whole array to write to. Release it soon: pages written to a mapped file stay in memory until then."""
        import numpy as np

        if self.memory is not None:
            return self.memory
        mapped: NDArray[Any] = np.memmap(self.file, self.dtype, "r+", shape=self.shape)
        return mapped

    def between(self, low: int, high: int) -> NDArray[Any]:
        """Return the rows from `low` to `high`."""
        import numpy as np

        if self.memory is not None:
            return self.memory[low:high]
        width = math.prod(self.shape[1:])
        values = np.fromfile(self.file, self.dtype, (high - low) * width, offset=low * width * self.dtype.itemsize)
        return values.reshape(high - low, *self.shape[1:])

    def at(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the given rows, which must be in ascending order."""
        import numpy as np

        if self.memory is not None:
            return self.memory[rows]
        step = max(1, _PIECE_BYTES // max(1, math.prod(self.shape[1:]) * self.dtype.itemsize))
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for low, high in _pieces(rows, step):
            first = int(rows[low])
            out[low:high] = self.between(first, int(rows[high - 1]) + 1)[rows[low:high] - first]
        return out


def _pieces(positions: NDArray[np.int64], step: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of ascending positions that lie within `step` of the first."""
    import numpy as np

    low = 0
    while low < len(positions):
        high = max(low + 1, int(np.searchsorted(positions, positions[low] + step, "right")))
        yield low, high
        low = high


@dataclass(frozen=True)
class ShingleSets:
    """Sorted sets of 64-bit shingle hashes: set `i` is `values[begins[i] : begins[i] + sizes[i]]`."""

    values: SpillArray
    begins: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def allocate(cls, buffer: SpillBuffer, max_sizes: NDArray[np.int64]) -> ShingleSets:
        """Allocate sets of at most these sizes."""
        import numpy as np

        ends = np.cumsum(max_sizes, dtype=np.int64)
        total = int(ends[-1]) if len(ends) else 0
        return cls(buffer.array("sets", (total,), np.uint64), ends - max_sizes, np.zeros(len(max_sizes), np.int64))

    def put(self, rows: NDArray[np.uint32], values: NDArray[np.uint64], ends: NDArray[np.int64]) -> None:
        """Store the sets of these rows, given end to end."""
        from textbookgen_dedup import kernels

        if len(rows):
            kernels.scatter_sets(values, ends, rows, self.begins, self.sizes, self.values.writable())

    def at(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the sets of rows in ascending order.

        Returns:
            The values, and a (2, n) array of where each set begins and ends in them.
        """
        import numpy as np

        if not len(rows):
            return np.empty(0, np.uint64), np.zeros((2, 0), np.int64)
        begins, sizes = self.begins[rows], self.sizes[rows]
        if len(rows) == rows[-1] - rows[0] + 1:
            values = self.values.between(int(begins[0]), int(begins[-1] + sizes[-1]))
            return values, np.stack([begins, begins + sizes]) - begins[0]
        ends = np.cumsum(sizes)
        out = np.empty(int(ends[-1]), np.uint64)
        for low, high in _pieces(begins, _PIECE_BYTES // 8):
            first = int(begins[low])
            piece = self.values.between(first, int(begins[high - 1] + sizes[high - 1]))
            for at in range(low, high):
                out[ends[at] - sizes[at] : ends[at]] = piece[begins[at] - first : begins[at] - first + sizes[at]]
        return out, np.stack([ends - sizes, ends])
