"""Benchmarks in tables: parquet or JSON Lines, in a file or at an address, one item per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import polars as pl

from textbookgen.api.benchmark import BenchmarkItem, ChoiceItem
from textbookgen.api.errors import RunError

Row = Mapping[str, Any]
Item = BenchmarkItem | ChoiceItem

#: Ends of names of files with one JSON object per line.
JSON_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")

#: What ends a completion of a Python function, as in the evaluation of HumanEval.
CODE_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


@dataclass
class TableBenchmark:
    """A benchmark in a table, parquet or JSON Lines, in a file or at an address; it is read by `items`.

    Attributes:
        name: what reports call it.
        stop: texts that end a completion.
        address: a path, or an address that polars reads.
        parse: makes an item of a row and its number; None skips the row.
    """

    name: str
    stop: tuple[str, ...]
    address: str
    parse: Callable[[Row, int], Item | None]

    def items(self) -> Iterator[Item]:
        """Yield the items in the order of the rows.

        Raises:
            RunError: the table cannot be read, or lacks a column.
        """
        for number, row in enumerate(read_rows(self.name, self.address).iter_rows(named=True)):
            with reading(row, self.name, self.address):
                item = self.parse(row, number)
            if item is not None:
                yield item


@contextmanager
def reading(row: Row, name: str, address: str) -> Iterator[None]:
    """Report a column that a row lacks as a problem of the file.

    Raises:
        RunError: a KeyError was raised inside.
    """
    try:
        yield
    except KeyError as error:
        hint = f"it has {', '.join(row)}"
        raise RunError(f"'{address}' has no column {error}, which `{name}` requires", hint=hint) from error


def read_rows(name: str, address: str) -> pl.DataFrame:
    """Return the rows of a benchmark's file: parquet or JSON Lines.

    Args:
        name: name of the benchmark, for error messages.
        address: a path, or an address that polars reads.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        if address.endswith(JSON_LINES):
            return pl.scan_ndjson(address, infer_schema_length=None).collect()
        return pl.scan_parquet(address).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        hint = f"download it and write `{name}@PATH`, where PATH ends in .jsonl, .jsonl.gz or .parquet"
        raise RunError(f"cannot read the benchmark `{name}` from '{address}': {error}", hint=hint) from error


def require_file(address: str, kind: str) -> None:
    """Refuse a path that does not exist when the benchmark is opened; addresses are looked up when it is read."""
    if "://" not in address and not Path(address).is_file():
        hint = f"write `{kind}@PATH`, where PATH ends in .jsonl, .jsonl.gz or .parquet and is relative to the current folder"
        raise RunError(f"there is no file '{address}' to read the benchmark from", hint=hint)


def open_table(name: str, path: str, query: str) -> TableBenchmark:
    """Open any table as a benchmark, with the columns that a query such as `prompt=question&solution=answer` names.

    Raises:
        RunError: there is no such file, or the query has an unknown parameter.
    """
    parse, stop = _parser(query, name)
    require_file(path, "file")
    return TableBenchmark(Path(path).name, stop, path, parse)


def _parser(query: str, name: str) -> tuple[Callable[[Row, int], BenchmarkItem], tuple[str, ...]]:
    """Return the row parser and the stop texts for a query such as `prompt=question&solution=answer`."""
    parameters = parse_qs(query, strict_parsing=bool(query))
    known = {"prompt", "solution", "tests", "id", "entry_point", "stop"}
    if unknown := sorted(parameters.keys() - known):
        raise RunError(f"`{name}` has the unknown parameter '{unknown[0]}'", hint=f"use {', '.join(sorted(known))}")
    column = {key: values[-1] for key, values in parameters.items()}
    has_tests = "tests" in parameters

    def parse(row: Row, number: int) -> BenchmarkItem:
        tests = row[column["tests"]] if has_tests else ""
        return BenchmarkItem(
            id=str(row[column["id"]]) if "id" in column else str(number),
            prompt=str(row[column.get("prompt", "prompt")]),
            solution=str(row[column.get("solution", "solution")]),
            tests="\n".join(tests) if isinstance(tests, list) else str(tests),
            entry_point=str(row[column["entry_point"]]) if "entry_point" in column else "",
        )

    return parse, tuple(parameters.get("stop", CODE_STOP if has_tests else ("\n",)))
