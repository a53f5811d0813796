"""`quality/heuristics`: what counts of lines, words and characters can tell, with published thresholds."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Filter
from textbookgen_quality.rules import CODE, PROSE, Bound, measures

Family = Literal["gopher", "gopher-repetition", "c4", "fineweb"]


class Heuristics(Filter):
    """Drops documents that simple counts call bad: prose by Gopher's, C4's and FineWeb's rules, code by StarCoder's.

    The first rule that a document breaks is its reason; `detail` has the figure and the bound.
    """

    name: ClassVar[str] = "heuristics"

    prose: tuple[Family, ...] = Field(("gopher", "gopher-repetition", "fineweb"), description="sets of rules for prose")
    code: bool = Field(True, description="whether the rules for code are applied to code")
    code_kinds: tuple[str, ...] = Field(
        ("code", "exercise"), description="kinds of documents that are code; all others are prose"
    )
    min_words: int = Field(50, ge=0, description="prose: fewest words (Gopher: 50)")
    max_words: int = Field(100_000, ge=1, description="prose: most words (Gopher: 100,000)")
    min_code_characters: int = Field(50, ge=0, description="code: fewest characters that are not white space")
    text: str = Field("text", description="the column that is judged")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, with the broken rule as `reason`."""
        is_code = pl.col("kind").is_in(self.code_kinds) if "kind" in docs.columns else pl.lit(False)
        rows = docs.select("id", pl.col(self.text).fill_null("").alias("text"), is_code.fill_null(False).alias("is_code"))
        code, prose = rows.filter("is_code"), rows.filter(~pl.col("is_code"))
        verdicts = pl.concat([self._verdicts(code, self._code_rules()), self._verdicts(prose, self._prose_rules())])
        return docs.select("id").join(verdicts, on="id", how="left", maintain_order="left")

    def _code_rules(self) -> dict[str, Bound]:
        return {"too little code": ("dense", self.min_code_characters, None), **CODE} if self.code else {}

    def _prose_rules(self) -> dict[str, Bound]:
        chosen = {reason: rule for family in self.prose for reason, rule in PROSE[family].items()}
        return {"too few words": ("words", self.min_words, None), "too many words": ("words", None, self.max_words), **chosen}

    def _verdicts(self, rows: pl.DataFrame, rules: dict[str, Bound]) -> pl.DataFrame:
        """The first broken rule of each row, if there is one."""
        figures = measures(rows, {name for name, _, _ in rules.values()})
        reason, detail = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
        for why, (name, low, high) in reversed(rules.items()):
            bound, word = (low, "under") if low is not None else (high, "over")
            broken = pl.col(name) < low if low is not None else pl.col(name) > high
            told = pl.format(f"{name.replace('_', ' ')} {{}}, {word} {bound:g}", pl.col(name).round(3))
            reason = pl.when(broken).then(pl.lit(why)).otherwise(reason)
            detail = pl.when(broken).then(told).otherwise(detail)
        return figures.select("id", keep=reason.is_null(), reason=reason, detail=detail)
