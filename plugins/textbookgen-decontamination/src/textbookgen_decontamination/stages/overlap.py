"""`decontamination/overlap`: scores on benchmark items with and without a near match in the training data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field
from textbookgen_dedup.text.python_code import parse_document

from textbookgen import Documents, Evaluator, Input, Labels, Report, RunError, StageInputs
from textbookgen.api.annotations import Opens
from textbookgen.api.files import write_frame
from textbookgen.api.rows import report_table, text_of
from textbookgen_decontamination.ngrams import read_problems
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule

#: The match rate whose subsets are named just `similar` and `dissimilar`.
_SUBSET_RATE = 0.8
_SIMILAR_SCHEMA = {"benchmark": pl.String, "item": pl.String, "rate": pl.Float64, "document": pl.String}


class TrainTestOverlap(Evaluator):
    """Splits benchmarks into items with and without a similar solution in the training data, and reports scores on both.

    phi-1's answer to the question whether it had seen its test set (Gunasekar et al. 2023, section 5.2 and table 3): an item
    is similar if its solution matches a function of the training data, by the edit distance of syntax trees, at `rates` or
    above. A model that learned rather than memorized does as well on the others. Scores are pass@1 over the completions that
    the stages of `from` stored.
    """

    name: ClassVar[str] = "overlap"

    inputs: Annotated[Labels, Input(Report)] = Field(alias="from", description="stages that scored models on benchmarks")
    training: Annotated[Labels, Input(Documents)] = Field(description="stages whose documents the models were trained on")
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of the benchmarks, as in the stages of `from`"
    )
    rates: tuple[float, ...] = Field(
        (0.95, 0.9, 0.85, 0.8), min_length=1, description="match rates from which an item counts as similar (phi-1's four)"
    )
    min_nodes: int = Field(8, ge=1, description="syntax nodes from which a function is compared")
    text: str = Field("text", description="the column of the training data to compare")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the scores; `similar.parquet` has the best match of each item and the document that contains it."""
        nearest = pl.concat([self._nearest(inputs, name) for name in self.benchmarks])
        write_frame(out / "similar.parquet", nearest)
        reports = [report for report in inputs.by_label("from").values() if isinstance(report, Report)]
        completions = pl.concat([_read_completions(report) for report in reports])
        scores = completions.group_by("subject", "benchmark", "item", maintain_order=True).agg(score=pl.col("passed").mean())
        compared = scores.join(nearest, on=["benchmark", "item"], maintain_order="left")
        if compared.is_empty():
            raise RunError(
                "no scored item can be compared",
                place="benchmarks",
                hint="are `benchmarks` named as in the stages of `from`, and are their solutions Python functions?",
            )
        return report_table(self._report_rows(compared))

    def _nearest(self, inputs: StageInputs, name: str) -> pl.DataFrame:
        """Return for each item with a function its best match rate over all training documents."""
        benchmark = inputs.resolver.benchmark(name)
        problems = read_problems([benchmark])
        rule = SyntaxTreeRule(problems, min(self.rates), self.min_nodes)
        best: dict[int, tuple[float, str | None]] = dict.fromkeys(rule.trees[1], (0.0, None))
        for docs in inputs["training"].frames():
            ids, texts = docs["id"].to_list(), text_of(docs, self.text)
            rows, rates = rule.match_rates([(row, tree) for row, text in enumerate(texts) for tree in parse_document(text)])
            for item, column in zip(rule.trees[1], rates.T, strict=True):
                if len(rows) and float(column.max()) > best[item][0]:
                    best[item] = float(column.max()), ids[rows[int(column.argmax())]]
        matches = [(benchmark.name, problems[at].id, rate, document) for at, (rate, document) in best.items()]
        return pl.DataFrame(matches, schema=_SIMILAR_SCHEMA, orient="row")

    def _report_rows(self, compared: pl.DataFrame) -> Iterator[dict[str, Any]]:
        for (subject, benchmark), items in compared.group_by("subject", "benchmark", maintain_order=True):
            for rate in self.rates:
                for name, similar in (("similar", pl.col("rate") >= rate), ("dissimilar", pl.col("rate") < rate)):
                    scores = items.filter(similar)["score"].to_list()
                    if scores:
                        mean = sum(scores) / len(scores)
                        variance = sum((score - mean) ** 2 for score in scores) / len(scores)
                        yield {
                            "subject": subject,
                            "benchmark": benchmark,
                            "metric": "pass@1",
                            "subset": name if rate == _SUBSET_RATE else f"{name} at {rate:g}",
                            "value": mean,
                            "stderr": (variance / len(scores)) ** 0.5,
                            "n": len(scores),
                        }


def _read_completions(report: Report) -> pl.DataFrame:
    file = report.path / "completions.parquet"
    if not file.exists():
        raise RunError(
            f"the report in `{report.path}` has no completions", place="from", hint='name stages with `use = "evaluate"`'
        )
    return pl.read_parquet(file, columns=["subject", "benchmark", "item", "passed"])
