"""`LineFile`: a file whose lines are read one at a time by their number, for tables that are too large to hold in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

from textbookgen.api.files import atomic_path


class LineFile:
    """The lines of a UTF-8 file by number, 8 bytes of memory a line; samplers keep what they have prepared in one.

    Args:
        path: the file; it is written by `LineFile.write`.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = array("Q")
        with path.open("rb") as lines:
            offset = 0
            for line in lines:
                self._offsets.append(offset)
                offset += len(line)

    @classmethod
    def write(cls, path: Path, lines: Iterable[str]) -> LineFile:
        """Write lines, none of which may contain a line break, unless the file exists, and open it.

        The file is whole or absent, so that one that exists was written by an earlier attempt of the same step.
        """
        if not path.exists():
            with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for line in lines)
        return cls(path)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> str:
        """Return a line by its number, from 0, without its line break."""
        with self.path.open("rb") as lines:
            lines.seek(self._offsets[number])
            return lines.readline().decode("utf-8").rstrip("\n")
