"""The sources `parquet` and `jsonl`: one document per row of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.errors import RunError
from textbookgen.api.hashing import document_id
from textbookgen.api.stage import Estimate
from textbookgen.builtin.sources.reading import EMPTY, ROWS_PER_FRAME, FileSource, Row, is_remote


class _TableSource(FileSource):
    """A source of tables: one document per row, in order; rows without text are passed over, and counted."""

    version: ClassVar[int] = 2
    text: str = Field("text", description="column of the text")
    id: str | None = Field(
        None,
        description="column of a unique id per document; unless given, ids are derived from file name, row and text",
    )

    def scan(self, file: str) -> pl.LazyFrame:
        """Return the table, after checking that it has the columns."""
        raise NotImplementedError

    def read_file(self, file: str) -> Iterator[Row]:
        """Yield the rows with text."""
        columns = [pl.col(column).cast(pl.String) for column in self._columns()]
        batches = self.scan(file).select(columns).collect_batches(chunk_size=ROWS_PER_FRAME, maintain_order=True)
        for number, values in enumerate(row for batch in batches for row in batch.iter_rows()):
            if not (values[0] or "").strip():
                self.pass_over(EMPTY)
            else:
                key = values[1] if self.id else document_id(Path(file).name, number, values[0])
                if not key:
                    raise RunError(f"row {number + 1} of '{file}' has no `{self.id}`", place="id")
                yield self.row(key, self.cleaned(values[0]), file)

    def cleaned(self, text: str) -> str:
        """Return a text without what its format cannot hold."""
        return text

    def _columns(self) -> list[str]:
        return [column for column in (self.text, self.id) if column is not None]

    def _require_columns(self, columns: Iterable[str], file: str) -> None:
        present = list(columns)
        for option, column in (("text", self.text), ("id", self.id)):
            if column is not None and column not in present:
                raise RunError(f"'{file}' has no column '{column}'", place=option, hint=f"it has {', '.join(present)}")


class Parquet(_TableSource):
    """Reads documents from parquet files."""

    name: ClassVar[str] = "parquet"

    def scan(self, file: str) -> pl.LazyFrame:
        """Return the table, lazily."""
        rows = pl.scan_parquet(file)
        self._require_columns(rows.collect_schema(), file)
        return rows

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Count the rows from the footers of local files."""
        if self.expected_tokens:
            return super().estimate(inputs)
        if any(is_remote(file) for file in self.files()):
            return Estimate(documents=self.max_documents)
        rows = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in self.files())
        return Estimate(documents=min(rows, self.max_documents or rows))


class Jsonl(_TableSource):
    """Reads documents from JSON Lines files, compressed or not."""

    name: ClassVar[str] = "jsonl"

    def scan(self, file: str) -> pl.LazyFrame:
        """Return the columns that are needed, lazily; the first 100 lines must have them."""
        sample = pl.scan_ndjson(file, n_rows=100, infer_schema_length=100).collect_schema()
        if sample:
            self._require_columns(sample, file)
        return pl.scan_ndjson(file, schema={column: pl.String() for column in self._columns()})

    def cleaned(self, text: str) -> str:
        """Return a text with U+FFFD for each NUL, as which polars reads halves of surrogate pairs (`\\ud83d` alone)."""
        return text.replace("\0", "\ufffd")

    def hint(self) -> str:
        """Return what a line must be."""
        return "each line must be one JSON object"
