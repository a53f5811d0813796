"""Questions with short known answers, in the form of SimpleQA (Wei et al. 2024, arXiv 2411.04368) and similar files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks.table import Row, read_rows

#: Columns that may hold the question and the answers, the usual ones first.
QUESTION_COLUMNS = ("problem", "question", "prompt")
ANSWER_COLUMNS = ("answer", "answers", "possible_answers")


@dataclass
class ShortAnswers:
    """A file of questions with short answers: CSV as SimpleQA's, JSON Lines or parquet; it is read by `items`.

    The question is in a column `problem`, `question` or `prompt`, the answer in `answer`, `answers` or `possible_answers`: a
    text, a list of texts, or a mapping as TriviaQA's with `value` and `aliases`. `aliases` may be a column, too.

    Attributes:
        address: a path, or an address that polars reads.
        name: what reports call it.
        stop: texts that end a completion.
    """

    address: str
    name: str = "simpleqa"
    stop: tuple[str, ...] = ("\nQuestion:", "\n\n")

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield the items in the order of the rows.

        Raises:
            RunError: the file cannot be read, or lacks a column.
        """
        for number, row in enumerate(self._rows().iter_rows(named=True)):
            question = str(self._column(row, QUESTION_COLUMNS)).strip()
            answers = _answers(self._column(row, ANSWER_COLUMNS))
            aliases = (*answers[1:], *_answers(row.get("aliases")))
            prompt = f"Question: {question}\nAnswer:"
            if answers:
                yield BenchmarkItem(f"SimpleQA/{number}", prompt, answers[0], question=question, aliases=aliases)

    def _rows(self) -> pl.DataFrame:
        if not self.address.endswith(".csv"):
            return read_rows(self.name, self.address)
        try:
            return pl.read_csv(self.address, infer_schema=False)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RunError(f"cannot read the benchmark `{self.name}` from '{self.address}': {error}") from error

    def _column(self, row: Row, names: tuple[str, ...]) -> object:
        for name in names:
            if row.get(name) is not None:
                return row[name]
        problem = f"'{self.address}' has a row without {', '.join(names[:-1])} or {names[-1]}"
        raise RunError(problem, hint=f"its columns are {', '.join(row)}")


def _answers(value: object) -> tuple[str, ...]:
    """Return the answers in a cell, without repetitions."""
    if isinstance(value, dict):
        value = [value.get("value"), *(value.get("aliases") or ())]
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            pass
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(str(item).strip() for item in values if item is not None and str(item).strip()))
