"""`quality/language`: documents in other languages than those wanted do not flow on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter


@cache
def _identifier() -> Any:
    """The model, which comes with the library; loading it takes most of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Language(Filter):
    """Drops documents that are not in a language wanted, going by py3langid (langid.py's model: Lui and Baldwin 2012)."""

    name: ClassVar[str] = "language"

    languages: tuple[str, ...] = Field(("en",), min_length=1, description="languages to keep, by ISO 639-1 code")
    least: float = Field(0.65, ge=0, le=1, description="probability that the language must have (FineWeb: 0.65)")
    skip_kinds: tuple[str, ...] = Field(("code", "exercise"), description="kinds of documents that are kept unseen")
    characters: int = Field(4_000, ge=1, description="how much of a document is looked at, from its beginning")
    text: str = Field("text", description="the column that is judged")

    def check(self) -> Iterable[Diagnostic]:
        """Complains about codes that the model does not know."""
        known = set(_identifier().labels)
        if unknown := [language for language in self.languages if language not in known]:
            yield Diagnostic("languages", f"not known: {', '.join(unknown)}", f"the codes are {' '.join(sorted(known))}")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, with the probability as `score` and the language as `quality.language`; null for what is kept unseen."""
        kinds = docs["kind"].to_list() if "kind" in docs.columns else [""] * len(docs)
        rows = [self._verdict(*row) for row in zip(docs["id"], docs[self.text], kinds, strict=True)]
        schema = {"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "score": pl.Float64, "quality.language": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _verdict(self, id_: str, text: str | None, kind: str) -> tuple[object, ...]:
        if kind in self.skip_kinds:
            return id_, True, None, None, None
        language, probability = _identifier().classify((text or "")[: self.characters])
        reason = None
        if language not in self.languages:
            reason = "another language"
        elif probability < self.least:
            reason = "uncertain language"
        return id_, reason is None, reason, float(probability), language
