"""The source `documentation`: prose in the documentation that is installed on this machine."""

from __future__ import annotations

import ast
import os
import re
import site
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from email.parser import HeaderParser
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.errors import MissingRequirement, RunError
from textbookgen.api.hashing import document_id, stable_hash
from textbookgen.api.stage import Estimate, Source
from textbookgen.builtin.sources.compressed import DAMAGED, read_at_most
from textbookgen.builtin.sources.prose import prose_of, read_manual
from textbookgen.builtin.sources.reading import digest_of, in_batches

Origin = Literal["packages", "python", "docstrings", "folders", "manuals"]
_ORIGINS: tuple[Origin, ...] = ("packages", "python", "docstrings", "folders", "manuals")
_ROWS_PER_FRAME = 500
_MAX_BYTES = 2 * 2**20  # of a file
_MAX_TEXT_BYTES = 32 * 2**20  # of a file after decompression
_PROSE_SHARE = 0.1  # of the bytes of a file, for estimates
_TEXTS = (".md", ".rst", ".txt", ".md.gz", ".rst.gz", ".txt.gz")
_EXCLUDED = re.compile(
    r"licen[cs]e|copying|copyright|change|news|history|release|author|credit|thanks|contributor|notice|third.?party"
    r"|requirements|top_level|entry_points|record|todo|vendor|patent|index\.txt|sources|_next\.|cmakelists",
    re.IGNORECASE,
)
_SKIPPED_FOLDERS = {"__pycache__", "tests", "test", "licenses", "examples", "locale", "idlelib", "lib2to3", "RelNotes"}


class _File(NamedTuple):
    """A file with documentation: its origin, its name below the root, where it is, its size and modification time."""

    origin: Origin
    name: str
    path: str
    size: int
    modified: int


class Documentation(Source):
    """Reads prose from the documentation on this machine: a stand-in for web pages that needs no network.

    - `packages`: descriptions of installed Python packages (METADATA), and their .md, .rst and .txt files
    - `python`: the reference of the Python language (pydoc's topics)
    - `docstrings`: the docstrings of modules, classes and functions of the standard library and of packages
    - `folders`: README, .md, .rst and .txt files in /usr/share/doc
    - `manuals`: English manual pages in /usr/share/man

    The origins take turns, and within each the packages do, so that none outweighs the others while it has files left.
    Only paragraphs of sentences are kept, without markup; code, tables, change logs and licences are left out. A text of more
    than `max_words` becomes several documents. It is all technical prose, so it shows how filters and mixtures work, and does
    not teach what a crawl of the web would. The documents have the licences of their packages: `source.license`, where the
    package states it.
    """

    name: ClassVar[str] = "documentation"

    origins: tuple[Origin, ...] = Field(_ORIGINS, min_length=1, description="where to look")
    max_documents: int | None = Field(None, gt=0, description="read at most N documents, a random sample; all unless given")
    min_words: int = Field(80, gt=0, description="skip documents with fewer words of prose")
    max_words: int = Field(800, gt=0, description="maximum length of a document in words; longer texts are divided")
    root: str = Field("/usr/share", description="the folder with `doc` and `man`")
    seed: int = Field(0, description="another seed gives another order, and with `max_documents` another sample")

    _passed_over: Counter[str] = PrivateAttr(default_factory=Counter)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the documents; `source.path` is the file, `source.origin` one of `origins`.

        Raises:
            RunError: there is no prose at all.
        """
        self._passed_over = Counter()
        count = 0
        for rows in in_batches(islice(self._rows(), self.max_documents), _ROWS_PER_FRAME):
            count += len(rows)
            yield pl.DataFrame(rows, schema_overrides={"source.license": pl.String})
        if not count:
            raise RunError(
                f"no prose was found in {', '.join(self.origins)}",
                place="origins",
                hint="add origins, lower `min_words`, or read a data set: use = 'parquet', path = 'hf://datasets/…'",
            )

    def passed_over(self) -> Mapping[str, int]:
        """Return how many files were passed over, by reason."""
        return self._passed_over

    def digest(self) -> str:
        """Return a digest of the names, sizes and times of all eligible files, without opening them."""
        return digest_of(f"{file.origin} {file.name} {file.size} {file.modified}" for file in self._files())

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate from file sizes, of which a tenth is prose."""
        words = sum(file.size * (4 if file.path.endswith(".gz") else 1) for file in self._files()) * _PROSE_SHARE / 6
        documents = words / self.max_words
        if self.max_documents and documents > self.max_documents:
            words, documents = words * self.max_documents / documents, float(self.max_documents)
        return Estimate(documents=documents, tokens=words * 1.4, disk_bytes=words * 2)

    def check(self) -> Iterable[MissingRequirement]:
        """Report that there is nothing to read."""
        if not self._files():
            hint = "install packages with documentation, or read a data set with `parquet`"
            yield MissingRequirement("origins", f"this machine has no files for {', '.join(self.origins)}", hint)

    def _files(self) -> list[_File]:
        files: dict[str, _File] = {}
        for origin in self.origins:
            for file in _FINDERS[origin](Path(self.root)):
                files.setdefault(file.path, file)
        eligible = (file for file in files.values() if 0 < file.size <= _MAX_BYTES)
        shuffled = sorted(eligible, key=lambda file: (stable_hash(f"{self.seed}/{file.name}"), file.name))
        by_package = _in_turn(shuffled, lambda file: f"{file.origin}/{_package(file)}")
        return _in_turn(by_package, lambda file: file.origin)

    def _rows(self) -> Iterator[dict[str, str | None]]:
        seen: set[int] = set()  # of the beginnings of texts: packages share files
        for file in self._files():
            text, rights = _read(file)
            pieces = list(self._pieces(prose_of(text)))
            if not pieces:
                self._passed_over["not readable" if not text else f"fewer than {self.min_words} words of prose"] += 1
            for number, piece in enumerate(pieces):
                key = stable_hash(piece)
                if key in seen:
                    self._passed_over["the same text as another file"] += 1
                    continue
                seen.add(key)
                name = f"{file.name}#{number + 1}" if len(pieces) > 1 else file.name
                yield {
                    "id": document_id("documentation", name, piece),
                    "text": piece,
                    "kind": "prose",
                    "source.path": name,
                    "source.origin": file.origin,
                    "source.license": rights,
                }

    def _pieces(self, paragraphs: list[str]) -> Iterator[str]:
        """Yield paragraphs together, in pieces of `min_words` to `max_words` words; a longer paragraph is one piece."""
        piece: list[str] = []
        words = 0
        for paragraph in [*dict.fromkeys(paragraphs), ""]:
            count = len(paragraph.split())
            if piece and (not paragraph or words + count > self.max_words):
                if words >= self.min_words:
                    yield "\n\n".join(piece)
                piece, words = [], 0
            piece.append(paragraph)
            words += count


# -- Files of each origin


def _in_turn(files: list[_File], group_of: Callable[[_File], str]) -> list[_File]:
    """Return the first file of each group, then the second of each, and so on."""
    counts: Counter[str] = Counter()
    ranks = {}
    for file in files:
        group = group_of(file)
        ranks[file] = counts[group]
        counts[group] += 1
    return sorted(files, key=ranks.__getitem__)


def _package(file: _File) -> str:
    """Return what a file belongs to: its folder below the root, or the first word of a manual's name."""
    parts = file.name.split("/")
    return re.split(r"[_.-]", parts[-1])[0] if file.origin == "manuals" else parts[1]


def _walk(
    origin: Origin, root: Path, prefix: str, suffixes: tuple[str, ...], excluded: re.Pattern[str] | None
) -> Iterator[_File]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name for name in subfolders if name not in _SKIPPED_FOLDERS and not name.startswith("textbookgen")
        )
        for name in names:
            if not name.endswith(suffixes) or (excluded and excluded.search(name)):
                continue
            path = Path(folder, name)
            try:
                stat = path.lstat()
            except OSError:
                continue
            if not path.is_symlink():
                yield _File(origin, f"{prefix}/{path.relative_to(root)}", str(path), stat.st_size, stat.st_mtime_ns)


def _package_folders() -> list[Path]:
    paths = sysconfig.get_paths()
    folders = {os.path.realpath(folder) for folder in (paths["purelib"], paths["platlib"], *site.getsitepackages())}
    return [Path(folder) for folder in sorted(folders) if Path(folder).is_dir()]


def _package_files(root: Path) -> Iterator[_File]:
    for folder in _package_folders():
        yield from _walk("packages", folder, "packages", (*_TEXTS, "METADATA"), _EXCLUDED)


def _python_files(root: Path) -> Iterator[_File]:
    yield from _walk("python", Path(sysconfig.get_paths()["stdlib"], "pydoc_data"), "pydoc_data", ("topics.py",), None)


def _code_files(root: Path) -> Iterator[_File]:
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    for folder, prefix in ((stdlib, "stdlib"), *((folder, "packages") for folder in _package_folders())):
        for file in _walk("docstrings", folder, prefix, (".py",), None):
            if not (prefix == "stdlib" and ("site-packages" in file.name or "dist-packages" in file.name)):
                yield file


def _folder_files(root: Path) -> Iterator[_File]:
    yield from _walk("folders", root / "doc", "doc", (*_TEXTS, "README", "README.gz", "README.Debian"), _EXCLUDED)


def _manual_files(root: Path) -> Iterator[_File]:
    for section in "12345678":
        yield from _walk("manuals", root / "man" / f"man{section}", f"man/man{section}", (".gz", f".{section}"), None)


_FINDERS = {
    "packages": _package_files,
    "python": _python_files,
    "docstrings": _code_files,
    "folders": _folder_files,
    "manuals": _manual_files,
}


# -- Texts of a file


def _read(file: _File) -> tuple[str, str | None]:
    """Return the text of a file with paragraphs of prose, and the licence that it states; empty if it cannot be read."""
    try:
        text = (read_at_most(Path(file.path), _MAX_TEXT_BYTES) or b"").decode("utf-8-sig")
    except (OSError, *DAMAGED, UnicodeDecodeError):
        return "", None
    if file.origin == "manuals":
        return read_manual(text), None
    if file.origin == "python":
        return "\n\n".join(_docstrings(text, every_string=True)), "PSF-2.0"
    if file.origin == "docstrings":
        return "\n\n".join(_docstrings(text, every_string=False)), None
    if file.path.endswith("METADATA"):
        message = HeaderParser().parsestr(text)
        rights = message["License-Expression"] or message["License"] or ""
        description = message.get_payload()
        return description if isinstance(description, str) else "", rights.splitlines()[0][:80] if rights else None
    return text, None


def _docstrings(source: str, every_string: bool) -> Iterator[str]:
    """Yield the docstrings of Python code, or the values of its dictionaries; nothing if it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if every_string and isinstance(node, ast.Dict):
            values = (value.value for value in node.values if isinstance(value, ast.Constant))
            yield from (value for value in values if isinstance(value, str))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
