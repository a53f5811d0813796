"""Filter for stories: required words, dialogue, length and vocabulary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Filter, Input, Labels
from textbookgen_tinystories.features import shows_feature
from textbookgen_tinystories.vocabulary import contains_word, hard_words, stem, text_words, tokens

_GARBLED = re.compile("[\ufffd\x00-\x08\x0b-\x1f]|\u00e2\u20ac|\u00c3[\u0080-\u00bf]")


@dataclass(frozen=True)
class StoryVerdict:
    """The first fault of a story, empty if it has none, with the evidence, and the share of words a small child knows."""

    reason: str
    detail: str
    coverage: float


class StoryChecks(Filter):
    """Drop stories that lack a required word or dialogue, are too short or too long, or use hard words.

    The required words are those of `tinystories.words`, in any form (`went` for `go`); dialogue is required if
    `tinystories.features` has it. Other features (a twist, a moral) are not checked. The score is the share of words that a
    small child knows: about 1,600, names, and function words.
    """

    name: ClassVar[str] = "story-checks"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="earlier stages whose stories are checked"
    )
    min_words: int = Field(50, ge=0, description="minimum length of a story in words")
    max_words: int = Field(400, gt=0, description="maximum length of a story in words")
    min_coverage: float = Field(0.95, ge=0, le=1, description="minimum share of words that a small child knows")
    vocabulary: tuple[str, ...] = Field((), description="further words that count as known")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return a verdict per story.

        Reasons are `too short`, `too long`, `a required word is missing`, `no dialogue`, `hard words` and `garbled
        characters`; the score is the share of known words.
        """
        extra_stems = frozenset(map(stem, self.vocabulary))
        verdicts = [self._verdict(row, extra_stems) for row in docs.iter_rows(named=True)]
        return pl.DataFrame(
            {
                "id": docs["id"],
                "keep": [not verdict.reason for verdict in verdicts],
                "reason": [verdict.reason for verdict in verdicts],
                "score": [verdict.coverage for verdict in verdicts],
                "detail": [verdict.detail for verdict in verdicts],
            },
            schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "score": pl.Float64, "detail": pl.String},
        )

    def _verdict(self, row: dict[str, Any], extra_stems: frozenset[str]) -> StoryVerdict:
        text = str(row["text"])
        words = tokens(text)
        hard = hard_words(text, extra_stems)
        coverage = 1 - len(hard) / max(len(words), 1)
        if fault := self._formal_fault(text, words) or self._missing_constraint(row, text, words):
            return StoryVerdict(*fault, coverage)
        if coverage < self.min_coverage:
            return StoryVerdict("hard words", ", ".join(dict.fromkeys(hard)), coverage)
        return StoryVerdict("", "", coverage)

    def _formal_fault(self, text: str, words: list[str]) -> tuple[str, str] | None:
        """Reason and evidence if a story is garbled, too short or too long."""
        if garbled := _GARBLED.search(text):
            return "garbled characters", repr(garbled[0])
        if len(words) < self.min_words:
            return "too short", f"{len(words)} words"
        if len(words) > self.max_words:
            return "too long", f"{len(words)} words"
        return None

    def _missing_constraint(self, row: dict[str, Any], text: str, words: list[str]) -> tuple[str, str] | None:
        """Reason and evidence if a story lacks a required word or dialogue."""
        present = text_words(words)
        if missing := [word for word in row.get("tinystories.words") or () if not contains_word(word, present)]:
            return "a required word is missing", ", ".join(missing)
        if "Dialogue" in (row.get("tinystories.features") or ()) and not shows_feature("Dialogue", text):
            return "no dialogue", ""
        return None
