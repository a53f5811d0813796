"""The source `text`: plain text files, one document per file, line, paragraph or separator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen.api.errors import Diagnostic
from textbookgen.api.hashing import document_id
from textbookgen.builtin.sources.compressed import MAX_RECORD_BYTES, too_large
from textbookgen.builtin.sources.reading import EMPTY, ROWS_PER_FRAME, FileSource, Row, is_remote


class Text(FileSource):
    """Reads plain text (UTF-8, compressed or not): one document per file, line or paragraph; empty ones are counted."""

    name: ClassVar[str] = "text"

    per: Literal["file", "line", "paragraph"] = Field(
        "file", description="extent of one document; paragraphs are separated by empty lines"
    )
    separator: str | None = Field(
        None, min_length=1, description='with `per = "file"`: the line that ends a document, such as <|endoftext|>'
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report paths that match no file, and a separator that has no effect."""
        yield from super().check()
        if self.separator is not None and self.per != "file":
            yield Diagnostic("separator", f'has no effect with per = "{self.per}"', 'remove it, or set per = "file"')

    def read_file(self, file: str) -> Iterator[Row]:
        """Yield the documents that are not blank."""
        number = 0
        if not is_remote(file) and not Path(file).stat().st_size:
            self.pass_over(EMPTY)
        for text in self._split(_lines(file), file):
            if not text.strip():
                self.pass_over(EMPTY)
                continue
            number += 1
            yield self.row(document_id(Path(file).name, number, text), text, file)

    def hint(self) -> str:
        """Return what a file must be."""
        return "it must be UTF-8 text"

    def _split(self, lines: Iterator[str], file: str) -> Iterator[str]:
        if self.per == "line":
            yield from lines
            return
        for inside, group in groupby(lines, key=self._is_content):
            if inside:
                yield "\n".join(_bounded(group, file))

    def _is_content(self, line: str) -> bool:
        if self.per == "paragraph":
            return bool(line.strip())
        return self.separator is None or line.strip() != self.separator


def _bounded(lines: Iterable[str], file: str) -> Iterator[str]:
    """Yield the lines of one document; refuse one that is too large for the memory."""
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_RECORD_BYTES:
            raise too_large(file, "a document", MAX_RECORD_BYTES)
        yield line


def _lines(file: str) -> Iterator[str]:
    for batch in pl.scan_lines(file).collect_batches(chunk_size=ROWS_PER_FRAME, maintain_order=True):
        yield from batch["line"]
