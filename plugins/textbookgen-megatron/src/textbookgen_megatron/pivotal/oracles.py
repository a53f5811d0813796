"""Oracles, which decide whether a completion is correct: by a reference answer, or by any filter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from textbookgen import Filter, RunError


class Oracle(Protocol):
    """Decides which completions are correct."""

    def grade(self, completions: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """Return for each pair of a question (its row) and a completion whether the completion is correct."""
        ...


@dataclass(frozen=True)
class AnswerOracle:
    """Compares completions with the answer in a column, ignoring white space; with a pattern, only its last matches."""

    column: str
    pattern: str | None = None

    def grade(self, completions: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """Return whether completion and answer agree.

        An answer in which the pattern does not match is compared as a whole; such a completion is incorrect.
        """
        return [self._agree(str(row[self.column]), completion) for row, completion in completions]

    def _agree(self, answer: str, completion: str) -> bool:
        expected, actual = self._extract(answer), self._extract(completion)
        return actual is not None and _without_space(actual) == _without_space(answer if expected is None else expected)

    def _extract(self, text: str) -> str | None:
        """Return the last match of the pattern, or its group; the whole text if there is no pattern."""
        if self.pattern is None:
            return text
        matches = list(re.finditer(self.pattern, text))
        return (matches[-1][1] if matches[-1].re.groups else matches[-1][0]) if matches else None


def _without_space(text: str) -> str:
    return "".join(text.split())


@dataclass(frozen=True)
class FilterOracle:
    """Applies a filter to the question followed by the completion, or to the completion alone; what it keeps is correct."""

    filter: Filter
    prompt_column: str
    completion_only: bool
    schema: Mapping[str, pl.DataType]

    def grade(self, completions: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """Return the decisions of the filter, which sees repeated completions of a question once.

        Raises:
            RunError: The filter did not decide on every document.
        """
        texts = [
            (str(row["id"]), completion if self.completion_only else f"{row[self.prompt_column]}{completion}")
            for row, completion in completions
        ]
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for key, (row, _) in zip(texts, completions, strict=True):
            rows.setdefault(key, {**row, "text": key[1], "id": str(len(rows))})
        frame = pl.DataFrame(list(rows.values()), schema={**self.schema, "text": pl.String(), "id": pl.String()})
        verdicts = self.filter.decide(frame)
        is_kept = dict(zip(verdicts["id"], verdicts["keep"], strict=True))
        if is_kept.keys() != set(frame["id"]):
            problem = f"the filter '{self.filter.name}' must return exactly one verdict per document"
            raise RunError(problem, place="oracle")
        return [bool(is_kept[rows[key]["id"]]) for key in texts]
