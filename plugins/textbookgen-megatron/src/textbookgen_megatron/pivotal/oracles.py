"""Who says whether a completion is right: a comparison with a known answer, or any judge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from textbookgen import Filter, RunError


class Oracle(Protocol):
    """Says which completions are right."""

    def right(self, asked: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """One verdict for each question, as its row, and what was said to it."""
        ...


@dataclass(frozen=True)
class AnswerOracle:
    """Compares what was said with the answer in a column, white space aside; with a pattern, only what it finds last."""

    column: str
    pattern: str | None = None

    def right(self, asked: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """Whether both are the same; an answer without the pattern in it counts as a whole, a completion as wrong."""
        return [self._same(str(row[self.column]), said) for row, said in asked]

    def _same(self, answer: str, said: str) -> bool:
        wanted, result = self._found(answer), self._found(said)
        return result is not None and _bare(result) == _bare(answer if wanted is None else wanted)

    def _found(self, text: str) -> str | None:
        """What the pattern finds last; without one, all of it."""
        if self.pattern is None:
            return text
        last = None
        for last in re.finditer(self.pattern, text):  # noqa: B007
            pass
        return None if last is None else last[1] if last.re.groups else last[0]


def _bare(text: str) -> str:
    return "".join(text.split())


@dataclass(frozen=True)
class JudgeOracle:
    """Asks a judge, who reads the question with what was said behind it, or what was said alone; what it keeps is right."""

    judge: Filter
    prompt: str
    alone: bool
    schema: Mapping[str, pl.DataType]

    def right(self, asked: Sequence[tuple[Mapping[str, Any], str]]) -> list[bool]:
        """The judge's verdicts; what it is asked twice in one go it reads once."""
        texts = [(str(row["id"]), said if self.alone else f"{row[self.prompt]}{said}") for row, said in asked]
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for key, (row, _) in zip(texts, asked, strict=True):
            rows.setdefault(key, {**row, "text": key[1], "id": str(len(rows))})
        frame = pl.DataFrame(list(rows.values()), schema={**self.schema, "text": pl.String(), "id": pl.String()})
        verdicts = self.judge.decide(frame)
        kept = dict(zip(verdicts["id"], verdicts["keep"], strict=True))
        if kept.keys() != set(frame["id"]):
            raise RunError(f"'{self.judge.name}' must give exactly one verdict for each document", place="oracle")
        return [bool(kept[rows[key]["id"]]) for key in texts]
