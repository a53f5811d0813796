"""`decontamination/filter`: what a corpus has of the benchmarks that models are scored by does not flow on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import BeforeValidator, Field, PrivateAttr
from textbookgen_dedup.text.words import text_of

from textbookgen import Diagnostic, Filter, MissingRequirement, RunError, StageInputs
from textbookgen_decontamination.distance import TFIDF, Distance, missing
from textbookgen_decontamination.ngrams import problems_of
from textbookgen_decontamination.rules import AnyGram, Diff, Finding, Fuzzy, Hybrid, Rule
from textbookgen_decontamination.syntax_trees import TreeMatch

Name = Literal["ngram", "hybrid", "cosmopedia", "ast", "fuzzy", "distance"]
_WITH_N = {"ngram", "cosmopedia", "fuzzy"}

_VERDICT = {
    "id": pl.String,
    "keep": pl.Boolean,
    "reason": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
    "minhash.item": pl.String,
}


def _several(given: object) -> object:
    return (given,) if isinstance(given, str) else given


class Decontaminate(Filter):
    """Drops documents that hold something of a benchmark; the verdict has the item and the words in common beside it."""

    name: ClassVar[str] = "filter"

    benchmarks: tuple[str, ...] = Field(min_length=1, description="names of the benchmarks to keep out")
    rule: Annotated[tuple[Name, ...], BeforeValidator(_several)] = Field(
        ("ngram",),
        min_length=1,
        description="what counts: any n-gram (`ngram`: GPT-3, phi-1), phi-4's 13- and 7-grams (`hybrid`), a 10-gram and "
        "difflib (`cosmopedia`), phi-1's match of syntax trees (`ast`), an 8-gram confirmed by edit distance (`fuzzy`), or the "
        "distance of embeddings (`distance`); of several, the first that finds something",
    )
    n: int | None = Field(
        None, ge=2, description="words in an n-gram; 13 for rule `ngram`, 10 for `cosmopedia` and 8 for `fuzzy` unless given"
    )
    allowed: tuple[str, ...] = Field(
        (), description="texts whose n-grams anybody may use, such as boilerplate that items share with the world"
    )
    info_ratio: float = Field(
        0.1, ge=0, le=1, description="rule `hybrid`: share of 7-grams above which a document is told of, though kept"
    )
    ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share at which a document is dropped: of 7-grams (`hybrid`), or above it of characters (`cosmopedia`)",
    )
    match_rate: float = Field(
        0.95, gt=0, le=1, description="rule `ast`: match rate of syntax trees from which a document is dropped"
    )
    min_nodes: int = Field(
        8,
        ge=1,
        description="rule `ast`: syntax nodes that a function must have to be compared; one of fewer must be all of a document",
    )
    fuzzy_ratio: float = Field(
        0.8, gt=0, le=1, description="rule `fuzzy`: how much of an item (or of its prompt or solution) a stretch must match"
    )
    embedder: str = Field(
        TFIDF,
        description="rule `distance`: what embeds texts: `tfidf` (runs of characters, by scikit-learn), or a model of "
        "sentence-transformers by name or folder, where that is installed",
    )
    cosine: float = Field(0.8, gt=0, le=1, description="rule `distance`: cosine from which a document is dropped")
    text: str = Field("text", description="the column that is searched")

    _rules: list[Rule] = PrivateAttr(default_factory=list)

    def check(self) -> Iterable[Diagnostic]:
        """Complains about an `n` that the rule does not use, and about an embedder that is not installed."""
        if self.n is not None and not _WITH_N & set(self.rule):
            yield Diagnostic("n", f"rule `{self.rule[0]}` has no `n` to choose", "leave `n` out")
        if "distance" in self.rule and (package := missing(self.embedder)):
            yield MissingRequirement(
                "embedder", f"`{self.embedder}` needs {package}, which is not installed", f"pip install {package}"
            )

    def prepare(self, inputs: StageInputs) -> None:
        """Opens the benchmarks, and has the kernels compiled once.

        Raises:
            RunError: a benchmark has no items.
        """
        problems = []
        for name in self.benchmarks:
            items = problems_of([inputs.resolver.benchmark(name)])
            if not items:
                raise RunError(f"benchmark `{name}` has no items", place="benchmarks")
            problems += items
        rules: dict[str, Rule] = {
            "ngram": AnyGram(problems, self.n or 13, self.allowed),
            "hybrid": Hybrid(problems, self.info_ratio, self.ratio, self.allowed),
            "cosmopedia": Diff(problems, self.n or 10, self.ratio),
            "ast": TreeMatch(problems, self.match_rate, self.min_nodes),
            "fuzzy": Fuzzy(problems, self.n or 8, self.fuzzy_ratio, self.allowed),
            "distance": Distance(problems, self.embedder, self.cosine),
        }
        self._rules = [rules[name] for name in self.rule]
        for rule in self._rules:
            list(rule.find(pl.Series([""])))

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts; of a dropped document `detail` has item and evidence, and `minhash.item` the benchmark and item."""
        if not self._rules:
            raise RunError("`decontamination/filter` judges only after `prepare` has opened its benchmarks")
        texts, findings = text_of(docs, self.text), dict[int, Finding]()
        for rule in self._rules:
            for result in rule.find(texts):
                if not (result.row in findings and findings[result.row].contaminated):
                    findings[result.row] = result
        rows = [_verdict(id_, findings.get(row)) for row, id_ in enumerate(docs["id"].to_list())]
        return pl.DataFrame(rows, schema=_VERDICT, orient="row")


def _verdict(id_: str, finding: Finding | None) -> tuple[object, ...]:
    if finding is None:
        return id_, True, None, None, None, None
    reason = finding.reason if finding.contaminated else None
    return id_, not finding.contaminated, reason, finding.score, finding.detail, finding.item
