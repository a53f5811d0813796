"""Files of multiple-choice benchmarks in all published forms: tables, MMLU's folders of CSV, SQuAD's JSON, plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks.table import Row, read_rows


def read_choice_rows(name: str, address: str, labels: str | None = None) -> list[Row]:
    """Return the rows of a file or address.

    Args:
        name: name of the benchmark, for error messages.
        address: parquet, JSON Lines, `.txt` (one passage per line, as LAMBADA), `.json` (as SQuAD), `.csv` or a folder of
            such files (as MMLU, whose subject is in the file's name).
        labels: file with one label per line, for benchmarks that publish them apart (PIQA, Social IQa).

    Raises:
        RunError: the file cannot be read, or has not as many labels as rows.
    """
    path = Path(address)
    try:
        rows = list(_rows(name, address, path))
        if labels is None:
            return rows
        values = Path(labels).read_text(encoding="utf-8").split()
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise RunError(f"cannot read the benchmark `{name}` from '{address}': {error!r}", hint="is it as published?") from error
    if len(values) != len(rows):
        raise RunError(f"'{labels}' has {len(values)} labels, but '{address}' has {len(rows)} rows")
    return [{**row, "label": label} for row, label in zip(rows, values, strict=True)]


def _rows(name: str, address: str, path: Path) -> Iterator[Row]:
    if "://" not in address and path.is_dir():
        for file in sorted(path.glob("*.csv")):
            yield from _subject_rows(file)
    elif address.endswith(".csv"):
        yield from _subject_rows(path)
    elif address.endswith(".txt"):
        yield from ({"text": line} for line in path.read_text(encoding="utf-8").splitlines() if line)
    elif address.endswith(".json"):
        yield from _squad_rows(path)
    else:
        yield from read_rows(name, address).iter_rows(named=True)


def _subject_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a subject of MMLU: question, four choices and a letter, without a header."""
    subject = file.stem
    for split in ("_test", "_dev", "_val"):
        subject = subject.removesuffix(split)
    for question, *choices, answer in pl.read_csv(file, has_header=False, infer_schema=False).iter_rows():
        yield {"question": question, "subject": subject, "choices": [choice or "" for choice in choices], "answer": answer}


def _squad_rows(file: Path) -> Iterator[Row]:
    """Yield the questions of a file of SQuAD in the columns of the Hub."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": question["id"],
                    "title": article["title"],
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": {"text": [answer["text"] for answer in question["answers"]]},
                }
