"""`decontamination/filter`: drop documents that contain benchmark items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import BeforeValidator, Field, PrivateAttr

from textbookgen import Diagnostic, Filter, MissingRequirement, RunError, StageInputs
from textbookgen.api.annotations import Opens
from textbookgen.api.rows import text_of
from textbookgen_decontamination.embeddings import TFIDF, EmbeddingRule, missing_package
from textbookgen_decontamination.ngrams import Problem, read_problems
from textbookgen_decontamination.rules import CosmopediaRule, Finding, FuzzyRule, HybridRule, NgramRule, Rule
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule

RuleName = Literal["ngram", "hybrid", "cosmopedia", "ast", "fuzzy", "embedding"]
_WITH_N = {"ngram", "cosmopedia", "fuzzy"}
_WITH_ALLOWED = {*_WITH_N, "hybrid"}

_VERDICT = {
    "id": pl.String,
    "keep": pl.Boolean,
    "reason": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
    "decontamination.item": pl.String,
}


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class DecontaminationFilter(Filter):
    """Drops documents that contain something of a benchmark; the verdict names the item and the evidence."""

    name: ClassVar[str] = "filter"

    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of the benchmarks to keep out of the corpus"
    )
    rule: Annotated[tuple[RuleName, ...], BeforeValidator(_as_tuple)] = Field(
        ("ngram",),
        min_length=1,
        description="one rule or several, of which the first match is reported: any shared n-gram (`ngram`: GPT-3, phi-1), "
        "phi-4's 13- and 7-grams (`hybrid`), a 10-gram confirmed by difflib (`cosmopedia`), phi-1's syntax trees (`ast`), an "
        "8-gram confirmed by edit distance (`fuzzy`), or cosine similarity (`embedding`)",
    )
    n: int | None = Field(
        None, ge=2, description="words in an n-gram; by default 13 for rule `ngram`, 10 for `cosmopedia` and 8 for `fuzzy`"
    )
    allowed: tuple[str, ...] = Field(
        (), description="n-gram rules: texts whose n-grams do not count, such as boilerplate that items share with other text"
    )
    info_ratio: float = Field(
        0.1, ge=0, le=1, description="rule `hybrid`: share of 7-grams above which a document is reported, though kept"
    )
    ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of 7-grams from which (`hybrid`), or of characters above which (`cosmopedia`) a document is dropped",
    )
    match_rate: float = Field(
        0.95, gt=0, le=1, description="rule `ast`: match rate of syntax trees from which a document is dropped"
    )
    min_nodes: int = Field(
        8,
        ge=1,
        description="rule `ast`: syntax nodes from which functions are compared; shorter solutions are found only in documents "
        "that contain nothing else",
    )
    fuzzy_ratio: float = Field(
        0.8, gt=0, le=1, description="rule `fuzzy`: similarity to an item, its prompt or its solution from which to drop"
    )
    embedder: str = Field(
        TFIDF,
        description="rule `embedding`: `tfidf` (character n-grams, by scikit-learn), or the name or folder of a "
        "sentence-transformers model",
    )
    cosine: float = Field(0.8, gt=0, le=1, description="rule `embedding`: cosine similarity from which a document is dropped")
    text: str = Field("text", description="the column to search")

    _rules: list[Rule] = PrivateAttr(default_factory=list)

    def check(self) -> Iterable[Diagnostic]:
        """Report options that no rule uses, and an embedder that is not installed."""
        if self.n is not None and not _WITH_N & set(self.rule):
            yield Diagnostic("n", f"rule `{self.rule[0]}` does not use `n`", "remove `n`")
        if self.allowed and not _WITH_ALLOWED & set(self.rule):
            yield Diagnostic("allowed", f"rule `{self.rule[0]}` does not use `allowed`", "remove `allowed`")
        if "embedding" in self.rule and (package := missing_package(self.embedder)):
            yield MissingRequirement(
                "embedder", f"`{self.embedder}` needs {package}, which is not installed", f"pip install {package}"
            )

    def prepare(self, inputs: StageInputs) -> None:
        """Read the benchmarks and compile the kernels.

        Raises:
            RunError: a benchmark has no items.
        """
        problems = []
        for name in self.benchmarks:
            items = read_problems([inputs.resolver.benchmark(name)])
            if not items:
                raise RunError(f"benchmark `{name}` has no items", place="benchmarks")
            problems += items
        self._rules = [self._rule(name, problems) for name in self.rule]
        for rule in self._rules:
            list(rule.find(pl.Series([""])))

    def _rule(self, name: RuleName, problems: list[Problem]) -> Rule:
        match name:
            case "ngram":
                return NgramRule(problems, self.n or 13, self.allowed)
            case "hybrid":
                return HybridRule(problems, self.info_ratio, self.ratio, self.allowed)
            case "cosmopedia":
                return CosmopediaRule(problems, self.n or 10, self.ratio, self.allowed)
            case "ast":
                return SyntaxTreeRule(problems, self.match_rate, self.min_nodes)
            case "fuzzy":
                return FuzzyRule(problems, self.n or 8, self.fuzzy_ratio, self.allowed)
            case "embedding":
                return EmbeddingRule(problems, self.embedder, self.cosine)

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts; `detail` has the item and the evidence, and `decontamination.item` benchmark and item."""
        if not self._rules:
            raise RunError("`decontamination/filter` was called before `prepare`")
        texts, findings = text_of(docs, self.text), dict[int, Finding]()
        for rule in self._rules:
            for finding in rule.find(texts):
                if not (finding.row in findings and findings[finding.row].contaminated):
                    findings[finding.row] = finding
        rows = [_verdict(id_, findings.get(row)) for row, id_ in enumerate(docs["id"].to_list())]
        return pl.DataFrame(rows, schema=_VERDICT, orient="row")


def _verdict(id_: str, finding: Finding | None) -> tuple[object, ...]:
    if finding is None:
        return id_, True, None, None, None, None
    reason = finding.reason if finding.contaminated else None
    return id_, not finding.contaminated, reason, finding.score, finding.detail, finding.item
