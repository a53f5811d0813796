"""The source `python-code`: the Python code that is installed on this machine."""

from __future__ import annotations

import os
import site
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.errors import Diagnostic
from textbookgen.api.hashing import document_id, stable_hash
from textbookgen.api.stage import Estimate, Source
from textbookgen.builtin.sources.reading import BYTES_PER_TOKEN, Row, digest_of, in_batches

_FILES_PER_FRAME = 500
_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages"}


class PythonFile(NamedTuple):
    """A file of the standard library or an installed package.

    Attributes:
        name: the path below the library or the packages, the same wherever Python is installed.
        path: where the file is.
        size: its size in bytes.
        modified: its modification time in nanoseconds.
    """

    name: str
    path: str
    size: int
    modified: int


class PythonCode(Source):
    """Reads the .py files of this Python's standard library and installed packages: real code of mixed quality.

    Files are in the order of a hash of their names, so the first `max_files` are a random sample. Files that are empty or
    not UTF-8 are skipped, as are symbolic links and textbookgen itself.
    """

    name: ClassVar[str] = "python-code"

    max_files: int | None = Field(None, gt=0, description="read at most N files, a random sample; all unless given")
    min_kib: float = Field(0.0, ge=0, description="skip files smaller than this, in KiB")
    max_kib: float = Field(256.0, gt=0, description="skip files larger than this, in KiB")
    seed: int = Field(0, description="another seed gives another order, and with `max_files` another sample")

    _passed_over: Counter[str] = PrivateAttr(default_factory=Counter)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield one document per file; `source.path` is its name."""
        self._passed_over = Counter()
        for rows in in_batches(islice(self._rows(), self.max_files), _FILES_PER_FRAME):
            yield pl.DataFrame(rows)

    def passed_over(self) -> Mapping[str, int]:
        """Return how many files were passed over, by reason."""
        return self._passed_over

    def digest(self) -> str:
        """Return a digest of the names, sizes and times of all eligible files, without opening them."""
        return digest_of(f"{file.name} {file.size} {file.modified}" for file in self._files())

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from file sizes, as if no file were skipped."""
        sizes = [file.size for file in islice(self._files(), self.max_files)]
        return Estimate(documents=len(sizes), tokens=sum(sizes) / BYTES_PER_TOKEN, disk_bytes=sum(sizes) / 3)

    def check(self) -> Iterable[Diagnostic]:
        """Report an empty range of sizes."""
        if self.min_kib > self.max_kib:
            yield Diagnostic("min_kib", f"{self.min_kib} KiB is more than `max_kib`, {self.max_kib} KiB: no file can match")

    def _files(self) -> list[PythonFile]:
        eligible = (file for file in _installed_files() if self.min_kib <= file.size / 1024 <= self.max_kib)
        return sorted(eligible, key=lambda file: (stable_hash(f"{self.seed}/{file.name}"), file.name))

    def _rows(self) -> Iterator[Row]:
        for file in self._files():
            text = _read_text(file.path)
            if not text:
                self._passed_over["empty, or not UTF-8"] += 1
            else:
                key = document_id("python-code", file.name, text)
                yield {"id": key, "text": text, "kind": "code", "source.path": file.name}


def _installed_files() -> Iterator[PythonFile]:
    paths = sysconfig.get_paths()
    packages = [paths["purelib"], paths["platlib"], *site.getsitepackages()]
    roots = {os.path.realpath(root): "packages" for root in packages} | {os.path.realpath(paths["stdlib"]): "stdlib"}
    for root, label in roots.items():
        if Path(root).is_dir():
            yield from _walk(root, label)


def _walk(folder: str, name: str) -> Iterator[PythonFile]:
    """Yield every .py file below a folder; `os.scandir` visits tens of thousands in a fraction of a second."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_FOLDERS and not entry.name.startswith("textbookgen"):
                    yield from _walk(entry.path, f"{name}/{entry.name}")
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                yield PythonFile(f"{name}/{entry.name}", entry.path, stat.st_size, stat.st_mtime_ns)


def _read_text(path: str) -> str:
    """Return the text of a file; empty if it is blank, not UTF-8, or has been removed meanwhile."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError):
        return ""
    return text if text.strip() and "\x00" not in text else ""
