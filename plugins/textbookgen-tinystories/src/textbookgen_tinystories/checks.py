"""Checks that a story holds what was asked for, in words a small child knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Filter, Input, Labels
from textbookgen_tinystories.words import forms_found, said_in, stem, tokens, unknown

_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d]*\w[^\"\u201c\u201d]*[\"\u201d]")
_GARBLED = re.compile("[\ufffd\x00-\x08\x0b-\x1f]|\u00e2\u20ac|\u00c3[\u0080-\u00bf]")


class StoryChecks(Filter):
    """Drops stories that lack a drawn word or dialogue, are too short or too long, or use hard words.

    The words are those of `tinystories.words`, in any form (`went` for `go`); dialogue is looked for if
    `tinystories.features` asks for it. Other features (a twist, a moral) need a reader and are not checked. The score is the
    share of words that a small child knows: about 1,600, names, and the words that hold sentences together.
    """

    name: ClassVar[str] = "story-checks"

    inputs: Annotated[Labels, Input(Documents)] = Field((), alias="from", description="stages above whose stories are checked")
    min_words: int = Field(50, ge=0, description="a story has at least so many words")
    max_words: int = Field(400, gt=0, description="a story has at most so many words")
    coverage: float = Field(0.95, ge=0, le=1, description="share of a story's words that a small child must know")
    vocabulary: tuple[str, ...] = Field((), description="further words that count as known")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """A verdict for each story; reasons are `too short`, `too long`, `a word is missing`, `no dialogue`, `hard words`
        and `garbled characters`."""
        more = frozenset(map(stem, self.vocabulary))
        result = [self._found(row, more) for row in docs.iter_rows(named=True)]
        return pl.DataFrame(
            {
                "id": docs["id"],
                "keep": [not item.reason for item in result],
                "reason": [item.reason for item in result],
                "score": [item.coverage for item in result],
                "detail": [item.detail for item in result],
            },
            schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "score": pl.Float64, "detail": pl.String},
        )

    def _found(self, row: dict[str, Any], more: frozenset[str]) -> _Found:
        text = str(row["text"])
        words = tokens(text)
        hard = unknown(text, more)
        coverage = 1 - len(hard) / max(len(words), 1)
        reason, detail = self._fault(row, text, words, hard, coverage)
        return _Found(coverage, reason, detail)

    def _fault(self, row: dict[str, Any], text: str, words: list[str], hard: list[str], coverage: float) -> tuple[str, str]:
        """The first thing wrong with a story and the evidence; empty if nothing is."""
        if garbled := _GARBLED.search(text):
            return "garbled characters", repr(garbled[0])
        if len(words) < self.min_words:
            return "too short", f"{len(words)} words"
        if len(words) > self.max_words:
            return "too long", f"{len(words)} words"
        said = said_in(words)
        if missing := [word for word in row.get("tinystories.words") or () if not forms_found(word, said)]:
            return "a word is missing", ", ".join(missing)
        if "Dialogue" in (row.get("tinystories.features") or ()) and not _QUOTED.search(text):
            return "no dialogue", ""
        if coverage < self.coverage:
            return "hard words", ", ".join(dict.fromkeys(hard))
        return "", ""


@dataclass(frozen=True)
class _Found:
    coverage: float
    reason: str
    detail: str
