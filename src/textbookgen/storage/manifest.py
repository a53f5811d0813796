"""The manifest of a completed step: name, size, rows and SHA-256 of every file that its record vouches for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from textbookgen.api.hashing import file_digest

#: The folders of a step whose files are its output. Others hold intermediate results that only the step itself reads.
VOUCHED = ("data", "verdicts", "failures", "out")

#: Of these, the folders where a file that the manifest does not list would be read as part of the output.
_LISTED = ("data", "verdicts")

_THREADS = 4  # hashing releases the interpreter lock


@dataclass(frozen=True)
class FileEntry:
    """One file of a step.

    Attributes:
        name: the path relative to the step's folder, with `/`.
        bytes: its size.
        sha256: the SHA-256 of its content, in hexadecimal digits.
        rows: the number of rows of a parquet file; None for others.
    """

    name: str
    bytes: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class Damage:
    """A file that is not as the manifest says: which one, and what differs."""

    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name} {self.problem}"


def make_manifest(folder: Path) -> tuple[FileEntry, ...]:
    """Return an entry for each file of a step's output, sorted by name."""
    files = _files(folder, VOUCHED)
    with ThreadPoolExecutor(_THREADS) as pool:
        return tuple(pool.map(lambda name: _entry(folder, name), files))


def find_damage(
    folder: Path,
    manifest: Iterable[FileEntry],
    *,
    digests: bool,
    progress: Callable[[int], None] = lambda files: None,
) -> list[Damage]:
    """Compare a step's files with its manifest.

    Args:
        folder: the folder of the step.
        manifest: what the step's record vouches for.
        digests: read every file and compare its SHA-256; otherwise only names and sizes are compared.
        progress: called with the number of files compared so far.

    Returns:
        A row for each file that is missing, of another size or content, or not listed although it would be read.
    """
    entries = list(manifest)
    listed = {entry.name for entry in entries}
    damage: list[Damage] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        problems = pool.map(lambda entry: _problem(folder / entry.name, entry, digests=digests), entries)
        for number, (entry, problem) in enumerate(zip(entries, problems, strict=True), start=1):
            if problem:
                damage.append(Damage(entry.name, problem))
            progress(number)
    damage += [Damage(name, "is not in the step's record") for name in _files(folder, _LISTED) if name not in listed]
    return damage


def is_parquet(file: Path) -> bool:
    """Return whether a file begins and ends as parquet files do, and its schema can be read."""
    try:
        pl.read_parquet_schema(file)
    except (OSError, pl.exceptions.PolarsError):
        return False
    return True


def output_digest(manifest: Iterable[FileEntry], inputs: Mapping[str, str]) -> str:
    """Return a SHA-256 that identifies the output of a step: its files, and the digests of its inputs by label.

    The inputs take part because the output of a filter is its verdicts together with the documents of its inputs.
    """
    digest = hashlib.sha256()
    for entry in manifest:
        if not entry.name.startswith("failures/"):
            digest.update(f"{entry.name}\0{entry.sha256}\n".encode())
    for label, value in sorted(inputs.items()):
        digest.update(f"{label}\0{value}\n".encode())
    return digest.hexdigest()


def _files(folder: Path, kinds: Iterable[str]) -> list[str]:
    return sorted(_names(folder, kinds))


def _names(folder: Path, kinds: Iterable[str]) -> Iterator[str]:
    for kind in kinds:
        for file in (folder / kind).rglob("*"):
            if file.is_file() and not (file.name.startswith(".") and file.name.endswith(".tmp")):
                yield file.relative_to(folder).as_posix()


def _entry(folder: Path, name: str) -> FileEntry:
    file = folder / name
    rows = int(pl.scan_parquet(file).select(pl.len()).collect().item()) if file.suffix == ".parquet" else None
    return FileEntry(name, file.stat().st_size, file_digest(file), rows)


def _problem(file: Path, entry: FileEntry, *, digests: bool) -> str:
    try:
        size = file.stat().st_size
        if size != entry.bytes:
            return f"has {size:,} bytes instead of {entry.bytes:,}"
        if digests and file_digest(file) != entry.sha256:
            return "has changed: its SHA-256 is not the recorded one"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""
