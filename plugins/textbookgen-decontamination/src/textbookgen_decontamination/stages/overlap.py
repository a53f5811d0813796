"""`decontamination/overlap`: how models do on those items of a benchmark that the training data has the like of, and on the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field
from textbookgen_dedup.text.words import text_of

from textbookgen import Documents, Evaluator, Input, Labels, Report, RunError, StageInputs
from textbookgen_decontamination.ngrams import problems_of
from textbookgen_decontamination.syntax_trees import TreeMatch, code_in

_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}


class Overlap(Evaluator):
    """Splits benchmarks into items with a similar solution in the training data and items without, and scores both.

    phi-1's answer to the suspicion that it had seen its test set (Gunasekar et al. 2023, section 5.2 and table 3): similar
    is an item whose solution matches some function of the training data by the edit distance of syntax trees at `rates`
    or above. A model that has learnt, and not copied, does as well on the others. Scores are pass@1, over the completions
    that the stages of `from` kept.
    """

    name: ClassVar[str] = "overlap"

    inputs: Annotated[Labels, Input(Report)] = Field(alias="from", description="stages above that scored models by benchmarks")
    training: Annotated[Labels, Input(Documents)] = Field(description="stages above whose documents the models were trained on")
    benchmarks: tuple[str, ...] = Field(min_length=1, description="names of the benchmarks, as the stages of `from` have them")
    rates: tuple[float, ...] = Field(
        (0.95, 0.9, 0.85, 0.8), min_length=1, description="match rates from which an item counts as similar (phi-1's four)"
    )
    min_nodes: int = Field(8, ge=1, description="syntax nodes that a function must have to be compared")
    text: str = Field("text", description="the column of the training data that is compared")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The scores; `similar.parquet` has the best match of each item, and the document it is in."""
        nearest = pl.concat([self._nearest(inputs, name) for name in self.benchmarks])
        nearest.write_parquet(out / "similar.parquet")
        completions = pl.concat([self._completions(report) for report in inputs.by_label("from").values()])
        scored = completions.group_by("subject", "benchmark", "item", maintain_order=True).agg(right=pl.col("passed").mean())
        known = scored.join(nearest, on=["benchmark", "item"], maintain_order="left")
        if known.is_empty():
            raise RunError("none of the items that were scored can be compared", hint="are `benchmarks` named as in `from`?")
        return pl.DataFrame(list(self._figures(known)), schema=_FIGURES)

    def _nearest(self, inputs: StageInputs, name: str) -> pl.DataFrame:
        """For each item with a tree its best rate over all training documents."""
        benchmark = inputs.resolver.benchmark(name)
        problems = problems_of([benchmark])
        match = TreeMatch(problems, min(self.rates), self.min_nodes)
        best: dict[int, tuple[float, str | None]] = dict.fromkeys(match.trees[1], (0.0, None))
        for docs in inputs["training"].frames():
            ids, texts = docs["id"].to_list(), text_of(docs, self.text)
            rows, rates = match.rates([(row, tree) for row, text in enumerate(texts) for tree in code_in(text)])
            for owner, column in zip(match.trees[1], rates.T, strict=True):
                if len(rows) and float(column.max()) > best[owner][0]:
                    best[owner] = float(column.max()), ids[rows[int(column.argmax())]]
        columns = {
            "benchmark": [benchmark.name] * len(best),
            "item": [problems[at].id for at in best],
            "rate": [rate for rate, _ in best.values()],
            "document": pl.Series([document for _, document in best.values()], dtype=pl.String),
        }
        return pl.DataFrame(columns, schema_overrides={"benchmark": pl.String, "item": pl.String, "rate": pl.Float64})

    def _completions(self, report: Any) -> pl.DataFrame:
        file = report.path / "completions.parquet"
        if not file.exists():
            raise RunError(
                f"the report in `{report.path}` has no completions", place="from", hint="name stages with `evaluate`"
            )
        return pl.read_parquet(file, columns=["subject", "benchmark", "item", "passed"])

    def _figures(self, known: pl.DataFrame) -> Iterator[dict[str, Any]]:
        for (subject, benchmark), items in known.group_by("subject", "benchmark", maintain_order=True):
            for rate in self.rates:
                for name, some in (
                    ("similar", items.filter(pl.col("rate") >= rate)),
                    ("not similar", items.filter(pl.col("rate") < rate)),
                ):
                    if len(some):
                        yield {
                            "subject": subject,
                            "metric": f"pass@1 {benchmark}, {name} at {rate:g}",
                            "value": some["right"].mean(),
                            "stderr": (some["right"].var(ddof=0) or 0.0) ** 0.5 / len(some) ** 0.5,  # type: ignore[operator]
                            "n": len(some),
                        }
