"""Shared by the sources that read files or addresses: options, globbing, digests and batches."""

from __future__ import annotations

import glob
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

import polars as pl
from pydantic import BeforeValidator, Field, PrivateAttr

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import Diagnostic, MissingRequirement, RunError
from textbookgen.api.hashing import content_digest
from textbookgen.api.stage import Estimate, Source
from textbookgen.builtin.sources.compressed import check_lines

#: Why documents are passed over.
EMPTY = "empty text"
ROWS_PER_FRAME = 1_000  # enough for polars to be efficient, few enough that long documents fit in memory
BYTES_PER_TOKEN = 4.0  # a rule of thumb, used in estimates only
Row = dict[str, str]
Item = TypeVar("Item")


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Paths = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class FileSource(Source):
    """A source that reads files or addresses; a subclass sets `name` and writes `read_file`."""

    path: Paths = Field(
        min_length=1,
        description="a file, a glob such as `books/*.jsonl`, an address that polars reads (https, s3, hf), or a list of them",
    )
    kind: str = Field("document", description="kind of the documents, where a recipe balances or reports by kind")
    max_documents: int | None = Field(None, gt=0, description="read only the first N documents")
    expected_tokens: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="tokens that `recipe check` should assume where it cannot derive them from file sizes"
    )

    _passed_over: Counter[str] = PrivateAttr(default_factory=Counter)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the documents; `source.path` is the file each comes from."""
        self._passed_over = Counter()
        for rows in in_batches(islice(self._documents(), self.max_documents), ROWS_PER_FRAME):
            yield pl.DataFrame(rows)

    def passed_over(self) -> Mapping[str, int]:
        """Return how many documents were passed over, by reason."""
        return self._passed_over

    def pass_over(self, reason: str) -> None:
        """Count a document that `read_file` passes over.

        Args:
            reason: why; the same for similar documents.
        """
        self._passed_over[reason] += 1

    def digest(self) -> str:
        """Return a digest of the files' names and content; addresses count by name only, since asking is expensive."""
        return digest_of(_file_state(file) for file in self.files())

    def check(self) -> Iterable[Diagnostic]:
        """Report paths that match no file."""
        for path in self.path:
            if not is_remote(path) and not _matches(path):
                hint = "a path, a glob such as `books/*.txt`, or an address"
                yield MissingRequirement("path", f"no file matches '{path}'", hint)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the tokens from file sizes, if the files are local and uncompressed."""
        if self.expected_tokens:
            return Estimate(self.max_documents, self.expected_tokens, disk_bytes=self.expected_tokens * BYTES_PER_TOKEN / 3)
        files = self.files()
        if self.max_documents or any(is_remote(file) or Path(file).suffix in {".gz", ".zst"} for file in files):
            return Estimate(documents=self.max_documents)
        return Estimate(tokens=sum(Path(file).stat().st_size for file in files) / BYTES_PER_TOKEN)

    def files(self) -> list[str]:
        """Return the files and addresses to read: the matches of each path, sorted."""
        return [file for path in self.path for file in ([path] if is_remote(path) else _matches(path))]

    def read_file(self, file: str) -> Iterator[Row]:
        """Yield the rows of one file or address, each made by `row`."""
        raise NotImplementedError

    def hint(self) -> str:
        """Return what to add to the message if a file cannot be read."""
        return ""

    def row(self, key: str, text: str, file: str) -> Row:
        """Return the row of one document with the id `key`."""
        return {"id": key, "text": text, "kind": self.kind, "source.path": file if is_remote(file) else Path(file).name}

    def _documents(self) -> Iterator[Row]:
        files = self.files()
        if not files:
            raise RunError(f"no file matches '{', '.join(self.path)}'", place="path")
        for file in files:
            if not is_remote(file):
                check_lines(file)
            try:
                yield from self.read_file(file)
            except (pl.exceptions.PolarsError, OSError) as error:
                raise RunError(f"cannot read '{file}': {error}", place="path", hint=self.hint()) from error


def is_remote(path: str) -> bool:
    """Whether a path is an address with a scheme, such as https or s3."""
    return re.match(r"[a-z][a-z0-9+.-]+://", path) is not None


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last one may be shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def digest_of(facts: Iterable[str]) -> str:
    """Return a digest of a set of facts, in any order."""
    return hashlib.blake2b("\n".join(sorted(facts)).encode(), digest_size=16).hexdigest()


def _matches(path: str) -> list[str]:
    if Path(path).is_file():
        return [path]
    matches = glob.glob(path, recursive=True)  # noqa: PTH207  (Path.glob takes no absolute patterns)
    return sorted(file for file in matches if Path(file).is_file())


def _file_state(file: str) -> str:
    if is_remote(file):
        return file
    return f"{file} {Path(file).stat().st_size} {content_digest(Path(file))}"
