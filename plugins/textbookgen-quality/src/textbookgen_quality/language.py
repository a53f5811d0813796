"""`quality/language`: drop documents in unwanted languages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter
from textbookgen.api.rows import text_of


@cache
def _identifier() -> Any:
    """Return the model, which is part of the library; loading it takes most of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class LanguageFilter(Filter):
    """Keeps documents in the given languages, as identified by py3langid (langid.py's model: Lui and Baldwin 2012)."""

    name: ClassVar[str] = "language"

    languages: tuple[str, ...] = Field(("en",), min_length=1, description="languages to keep, by ISO 639-1 code")
    min_probability: float = Field(0.65, ge=0, le=1, description="minimum probability of the language (FineWeb: 0.65)")
    skip_kinds: tuple[str, ...] = Field(("code", "exercise"), description="kinds of documents that are kept unchecked")
    max_characters: int = Field(4_000, ge=1, description="characters to examine, from the beginning of a document")
    text: str = Field("text", description="the column to check")

    def check(self) -> Iterable[Diagnostic]:
        """Report unknown language codes."""
        known = set(_identifier().labels)
        if unknown := [language for language in self.languages if language not in known]:
            yield Diagnostic("languages", f"unknown: {', '.join(unknown)}", f"the codes are {' '.join(sorted(known))}")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts with the probability as `score` and the language as `quality.language`, null if unchecked."""
        kinds = docs["kind"].to_list() if "kind" in docs.columns else [""] * len(docs)
        rows = [self._verdict(*row) for row in zip(docs["id"], text_of(docs, self.text), kinds, strict=True)]
        schema = {"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "score": pl.Float64, "quality.language": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _verdict(self, id_: str, text: str, kind: str) -> tuple[object, ...]:
        if kind in self.skip_kinds:
            return id_, True, None, None, None
        language, probability = _identifier().classify(text[: self.max_characters])
        reason = None
        if language not in self.languages:
            reason = "another language"
        elif probability < self.min_probability:
            reason = "uncertain language"
        return id_, reason is None, reason, float(probability), language
