"""Springs that need no teacher: real Python code, and tables and texts from files or addresses."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import site
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice
from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple, TypeVar

import polars as pl
from pydantic import BeforeValidator, Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import Diagnostic, MissingRequirement, RunError
from textbookgen.api.hashing import document_id
from textbookgen.api.stage import Estimate, Source
from textbookgen.builtin.stages.sample import stable_hash

ROWS = 1_000  # rows of a frame: enough for polars to be quick, few enough that long documents fit in memory
BYTES_A_TOKEN = 4.0  # a rule of thumb for foreseeing, nothing else
Row = dict[str, str]
Each = TypeVar("Each")


def _paths(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Paths = Annotated[tuple[str, ...], BeforeValidator(_paths)]


# -- The code that is already here


class PythonFile(NamedTuple):
    """A file of the standard library or an installed package; `name` is the same wherever Python is installed."""

    name: str
    path: str
    size: int
    modified: int


class PythonCode(Source):
    """The .py files of this Python's standard library and installed packages: real code of mixed quality.

    Files come in the order of a hash of their names, so the first `max_files` are a mixed sample. Files that are not
    UTF-8 or hold nothing are passed over; textbookgen's own and symbolic links are left out.
    """

    name: ClassVar[str] = "python-code"

    max_files: int | None = Field(
        None, gt=0, description="read at most so many files, a mixed sample; all of them unless given"
    )
    min_kib: float = Field(0.0, ge=0, description="leave out files smaller than this, in KiB")
    max_kib: float = Field(256.0, gt=0, description="leave out files larger than this, in KiB")
    seed: int = Field(0, description="another seed reads the files in another order, and so draws another sample")

    def read(self) -> Iterator[pl.DataFrame]:
        """One document a file, `source.path` says which."""
        for rows in _batches(islice(self._rows(), self.max_files), 500):
            yield pl.DataFrame(rows)

    def digest(self) -> str:
        """Names, sizes and times of every file that could be read; none is opened."""
        return _digest(f"{item.name} {item.size} {item.modified}" for item in self._files())

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """From sizes alone; what will be passed over is not known yet."""
        sizes = [item.size for item in islice(self._files(), self.max_files)]
        return Estimate(documents=len(sizes), tokens=sum(sizes) / BYTES_A_TOKEN, disk_bytes=sum(sizes) / 3)

    def check(self) -> Iterable[Diagnostic]:
        """Sizes that leave nothing."""
        if self.min_kib > self.max_kib:
            yield Diagnostic("min_kib", f"no file is larger than {self.min_kib} KiB and smaller than {self.max_kib} KiB")

    def _files(self) -> list[PythonFile]:
        fit = (item for item in _installed() if self.min_kib <= item.size / 1024 <= self.max_kib)
        return sorted(fit, key=lambda item: (stable_hash(f"{self.seed}/{item.name}"), item.name))

    def _rows(self) -> Iterator[Row]:
        for item in self._files():
            text = _python_text(item.path)
            if text:
                yield {
                    "id": document_id("python-code", item.name, text),
                    "text": text,
                    "kind": "code",
                    "source.path": item.name,
                }


def _installed() -> Iterator[PythonFile]:
    paths = sysconfig.get_paths()
    packages = [paths["purelib"], paths["platlib"], *site.getsitepackages()]
    roots = {os.path.realpath(root): "packages" for root in packages} | {os.path.realpath(paths["stdlib"]): "stdlib"}
    for root, label in roots.items():
        if Path(root).is_dir():
            yield from _walk(root, label)


def _walk(folder: str, name: str) -> Iterator[PythonFile]:
    """Every .py file below, by `os.scandir`: tens of thousands of files take a fraction of a second."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in {"__pycache__", "site-packages", "dist-packages"} and not entry.name.startswith(
                    "textbookgen"
                ):
                    yield from _walk(entry.path, f"{name}/{entry.name}")
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                facts = entry.stat(follow_symlinks=False)
                yield PythonFile(f"{name}/{entry.name}", entry.path, facts.st_size, facts.st_mtime_ns)


def _python_text(path: str) -> str:
    """The file's text; empty if it is not UTF-8, holds nothing, or went away meanwhile."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError):
        return ""
    return text if text.strip() and "\x00" not in text else ""


# -- Files and addresses


class _Read(Source):
    """What sources of files and addresses have in common."""

    path: Paths = Field(
        min_length=1,
        description="a file, a glob such as `books/*.jsonl` or an address that polars reads (https, s3, hf), or a list of them",
    )
    kind: str = Field("document", description="what these documents are called where a recipe balances by kind")
    max_documents: int | None = Field(None, gt=0, description="read at most so many documents, the first ones")
    expected_tokens: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="tokens there are to read, as `recipe check` should expect them where it cannot look"
    )

    def read(self) -> Iterator[pl.DataFrame]:
        """One document a row, `source.path` says from which file."""
        for rows in _batches(islice(self._documents(), self.max_documents), ROWS):
            yield pl.DataFrame(rows)

    def digest(self) -> str:
        """Files by name, size and time; an address by itself alone, for what is behind it cannot be asked cheaply."""
        return _digest(_state(file) for file in self._files())

    def check(self) -> Iterable[Diagnostic]:
        """Files that are not there."""
        for path in self.path:
            if not _remote(path) and not _matches(path):
                yield MissingRequirement(
                    "path", f"there is no file '{path}'", "a path, a glob such as `books/*.txt`, or an address"
                )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """From sizes alone, where files are here and not compressed."""
        if self.expected_tokens:
            return Estimate(self.max_documents, self.expected_tokens, disk_bytes=self.expected_tokens * BYTES_A_TOKEN / 3)
        files = self._files()
        if self.max_documents or any(_remote(file) or Path(file).suffix in {".gz", ".zst"} for file in files):
            return Estimate(documents=self.max_documents)
        return Estimate(tokens=sum(Path(file).stat().st_size for file in files) / BYTES_A_TOKEN)

    def _files(self) -> list[str]:
        return [file for path in self.path for file in ([path] if _remote(path) else _matches(path))]

    def _documents(self) -> Iterator[Row]:
        files = self._files()
        if not files:
            raise RunError(f"there is no file '{', '.join(self.path)}'", place="path")
        for file in files:
            try:
                yield from self._read_file(file)
            except (pl.exceptions.PolarsError, OSError) as error:
                raise RunError(f"cannot read '{file}': {error}", place="path", hint=self._hint()) from error

    def _read_file(self, file: str) -> Iterator[Row]:
        raise NotImplementedError

    def _hint(self) -> str:
        return ""

    def _row(self, key: str, text: str, file: str) -> Row:
        return {"id": key, "text": text, "kind": self.kind, "source.path": file if _remote(file) else Path(file).name}


class _Rows(_Read):
    """A source of tables: one document a row, in the order of the rows; rows without text are passed over."""

    text: str = Field("text", description="the column that holds the text")
    id: str | None = Field(
        None,
        description="the column that names documents, each by a name of its own; made from file, row and text unless given",
    )

    def _scan(self, file: str) -> pl.LazyFrame:
        raise NotImplementedError

    def _read_file(self, file: str) -> Iterator[Row]:
        batches = self._scan(file).select(self._columns()).collect_batches(chunk_size=ROWS, maintain_order=True)
        for number, values in enumerate(row for batch in batches for row in batch.iter_rows()):
            if values[0]:
                key = values[1] if self.id else document_id(Path(file).name, number, values[0])
                if not key:
                    raise RunError(f"row {number + 1} of '{file}' has no `{self.id}`", place="id")
                yield self._row(key, values[0], file)

    def _columns(self) -> list[pl.Expr]:
        return [pl.col(column).cast(pl.String) for column in (self.text, self.id) if column is not None]

    def _expect(self, columns: Iterable[str], file: str) -> None:
        there = list(columns)
        for option, column in (("text", self.text), ("id", self.id)):
            if column is not None and column not in there:
                raise RunError(f"'{file}' has no column '{column}'", place=option, hint=f"it has {', '.join(there)}")


class Parquet(_Rows):
    """Documents from parquet files."""

    name: ClassVar[str] = "parquet"

    def _scan(self, file: str) -> pl.LazyFrame:
        rows = pl.scan_parquet(file)
        self._expect(rows.collect_schema(), file)
        return rows

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Rows counted from the files' own footers, unless they are elsewhere."""
        if self.expected_tokens:
            return super().estimate(inputs)
        if any(_remote(file) for file in self._files()):
            return Estimate(documents=self.max_documents)
        rows = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in self._files())
        return Estimate(documents=min(rows, self.max_documents or rows))


class Jsonl(_Rows):
    """Documents from files of one JSON object a line, compressed or not."""

    name: ClassVar[str] = "jsonl"

    def _scan(self, file: str) -> pl.LazyFrame:
        first = pl.scan_ndjson(file, n_rows=100, infer_schema_length=100).collect_schema()
        if first:
            self._expect(first, file)
        return pl.scan_ndjson(file, schema={column: pl.String() for column in (self.text, self.id) if column is not None})

    def _hint(self) -> str:
        return "each line must be one JSON object"


class Text(_Read):
    """Documents from plain texts (UTF-8, compressed or not): one a file, a line, or a paragraph; empty ones are passed over."""

    name: ClassVar[str] = "text"

    per: Literal["file", "line", "paragraph"] = Field(
        "file", description="what is one document; paragraphs end at an empty line"
    )
    separator: str | None = Field(
        None, min_length=1, description='with `per = "file"`: a line that ends a document, such as <|endoftext|>'
    )

    def check(self) -> Iterable[Diagnostic]:
        """Files that are not there, and a separator where none is looked for."""
        yield from super().check()
        if self.separator is not None and self.per != "file":
            yield Diagnostic(
                "separator", f'is not used with per = "{self.per}"', 'take one of the two away, or write per = "file"'
            )

    def _read_file(self, file: str) -> Iterator[Row]:
        number = 0
        for text in self._texts(_lines(file)):
            if text.strip():
                number += 1
                yield self._row(document_id(Path(file).name, number, text), text, file)

    def _texts(self, lines: Iterator[str]) -> Iterator[str]:
        if self.per == "line":
            yield from lines
            return
        for inside, group in groupby(lines, key=self._inside):
            if inside:
                yield "\n".join(group)

    def _inside(self, line: str) -> bool:
        if self.per == "paragraph":
            return bool(line.strip())
        return self.separator is None or line.strip() != self.separator

    def _hint(self) -> str:
        return "it must be text in UTF-8"


def _lines(file: str) -> Iterator[str]:
    for batch in pl.scan_lines(file).collect_batches(chunk_size=ROWS, maintain_order=True):
        yield from batch["line"]


def _remote(path: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]+://", path) is not None


def _matches(path: str) -> list[str]:
    if Path(path).is_file():
        return [path]
    result = glob.glob(path, recursive=True)  # noqa: PTH207  (Path.glob takes no absolute patterns)
    return sorted(file for file in result if Path(file).is_file())


def _state(file: str) -> str:
    if _remote(file):
        return file
    facts = Path(file).stat()
    return f"{file} {facts.st_size} {facts.st_mtime_ns}"


def _batches(rows: Iterable[Each], size: int) -> Iterator[list[Each]]:
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch


def _digest(facts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(facts)).encode(), digest_size=16).hexdigest()
