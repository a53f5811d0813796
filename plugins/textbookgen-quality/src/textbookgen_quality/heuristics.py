"""`quality/heuristics`: drop documents by counts of lines, words and characters, with published thresholds."""

from __future__ import annotations

from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Filter
from textbookgen.api.rows import text_of
from textbookgen_quality.rules import CODE_RULES, PROSE_RULES, Bound, compute_metrics

RuleSet = Literal["gopher", "gopher-repetition", "c4", "fineweb"]


class HeuristicFilter(Filter):
    """Drops prose by the rules of Gopher, C4 and FineWeb, and code by those of StarCoder.

    The first rule that a document violates is the reason; `detail` has the metric and the bound.
    """

    name: ClassVar[str] = "heuristics"

    prose: tuple[RuleSet, ...] = Field(("gopher", "gopher-repetition", "fineweb"), description="sets of rules for prose")
    code: bool = Field(True, description="apply the rules for code to code")
    code_kinds: tuple[str, ...] = Field(
        ("code", "exercise"), description="kinds of documents that are code; all others are prose"
    )
    min_words: int = Field(50, ge=0, description="prose: minimum number of words (Gopher: 50)")
    max_words: int = Field(100_000, ge=1, description="prose: maximum number of words (Gopher: 100,000)")
    min_code_characters: int = Field(50, ge=0, description="code: minimum number of characters other than white space")
    text: str = Field("text", description="the column to check")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts, with the violated rule as `reason`."""
        is_code = pl.col("kind").is_in(self.code_kinds) if "kind" in docs.columns else pl.lit(False)
        rows = docs.select("id", text_of(docs, self.text).alias("text"), is_code.fill_null(False).alias("is_code"))
        code, prose = rows.filter("is_code"), rows.filter(~pl.col("is_code"))
        verdicts = pl.concat([_verdicts(code, self._code_rules()), _verdicts(prose, self._prose_rules())])
        return docs.select("id").join(verdicts, on="id", how="left", maintain_order="left")

    def _code_rules(self) -> dict[str, Bound]:
        too_little = Bound("non_space_characters", minimum=self.min_code_characters)
        return {"too little code": too_little, **CODE_RULES} if self.code else {}

    def _prose_rules(self) -> dict[str, Bound]:
        chosen = {reason: rule for name in self.prose for reason, rule in PROSE_RULES[name].items()}
        too_few, too_many = Bound("words", minimum=self.min_words), Bound("words", maximum=self.max_words)
        return {"too few words": too_few, "too many words": too_many, **chosen}


def _verdicts(rows: pl.DataFrame, rules: dict[str, Bound]) -> pl.DataFrame:
    """Return the first violated rule of each row, if any."""
    metrics = compute_metrics(rows, {bound.metric for bound in rules.values()})
    reason, detail = pl.lit(None, dtype=pl.String), pl.lit(None, dtype=pl.String)
    for name, bound in reversed(rules.items()):
        evidence = pl.format(f"{bound.metric.replace('_', ' ')} {{}}, {bound.description}", pl.col(bound.metric).round(3))
        reason = pl.when(bound.is_violated()).then(pl.lit(name)).otherwise(reason)
        detail = pl.when(bound.is_violated()).then(evidence).otherwise(detail)
    return metrics.select("id", keep=reason.is_null(), reason=reason, detail=detail)
