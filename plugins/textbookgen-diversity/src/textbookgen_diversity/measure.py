"""`diversity/measure`: metrics, tables and plots of the diversity of corpora, optionally beside a reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Chats, Diagnostic, Documents, Evaluator, Input, Labels, RunError, StageInputs, Table
from textbookgen.api.rows import report_table
from textbookgen_diversity.coverage import count_draws, coverage_metrics
from textbookgen_diversity.near_copies import NearCopyFinder, copies_by_family, copies_over_time, prompt_families
from textbookgen_diversity.nearest import nearest_overlap
from textbookgen_diversity.openings import OpeningShares, count_openings
from textbookgen_diversity.report import write_report
from textbookgen_diversity.sample import Sample, compression_ratios, count_words, distinct_ngrams, draw_sample


class DiversityEvaluator(Evaluator):
    """Measures the diversity of each corpus, and of a reference if there is one.

    Over a sample of `words` words, the same number from each corpus because the metrics depend on it: distinct-1 to -4,
    compression ratios, and R, the share of a document's different k-grams that its nearest neighbor also contains
    (TinyStories, arXiv 2305.07759, section 4), among `compared` documents. Over all documents: openings, evenness of drawn
    values, coverage of `grid`, and near copies (verified MinHash), by prompt family and over time. Memory holds the sample,
    about 20 bytes per document, and at most 512 MiB of index.
    """

    name: ClassVar[str] = "measure"

    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(alias="from", description="stages to measure, each by itself")
    reference: Annotated[Labels, Input(Documents, Chats)] = Field(
        (), description="stages to compare with: an earlier corpus, or text written by people"
    )
    words: int = Field(1_000_000, gt=0, description="words to sample from each corpus")
    k: int = Field(2, gt=0, description="words in a k-gram, for R")
    compared: int = Field(500, gt=1, description="documents of the sample to compare with each other, for R")
    opening: int = Field(5, gt=0, description="words in an opening; case is ignored")
    fields: tuple[str, ...] = Field((), description="fields of `draw` to count; by default all except free text")
    grid: dict[str, int | tuple[Any, ...]] = Field(
        default_factory=dict,
        description="possible values, for coverage: each field with its values, or with their number, such as "
        '{ topic = "@topics.txt", level = 5 }',
    )
    by: str = Field("kind", description="what makes a prompt family: `kind`, `step`, or a field of `draw`")
    spans: int = Field(10, gt=0, description="consecutive parts of the corpus to report separately, in the order written")
    threshold: float = Field(0.8, gt=0, lt=1, description="true Jaccard index from which a document is a near copy")
    shingle: int = Field(5, gt=0, description="words in a shingle, for near copies")
    seed: int = Field(0, description="seed of the sample")

    def check(self) -> Iterable[Diagnostic]:
        """Report a corpus that is its own reference."""
        if both := sorted(set(self.inputs) & set(self.reference)):
            yield Diagnostic("reference", f"'{both[0]}' is also in `from`", "name another stage, or remove `reference`")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the metrics; write `openings`, `families` and `over_time` as tables, and plots."""
        tables = {**_tables(inputs, "from"), **_tables(inputs, "reference")}
        samples = self._samples(tables)
        finder = NearCopyFinder(self.threshold, self.shingle, inputs)
        rows: list[dict[str, Any]] = []
        openings, families, spans = [], [], []
        for label, table in tables.items():
            subject = pl.lit(label).alias("subject")
            hashes, frequent = count_openings(table, self.opening)
            copied = finder.within(table)
            metrics = (
                *self._sample_metrics(samples[label]),
                *self._opening_metrics(hashes),
                _row("near copies", float(copied.mean()), len(copied)),
                *self._draw_metrics(table),
            )
            rows += [{"subject": label, **row} for row in metrics]
            openings.append(frequent.with_columns(subject))
            families.append(copies_by_family(copied, prompt_families(table, self.by)).with_columns(subject))
            spans.append(copies_over_time(copied, hashes, self.spans).with_columns(subject))
        rows += self._reference_metrics(inputs, samples, finder)
        report = report_table(rows)
        details = {"openings": pl.concat(openings), "families": pl.concat(families), "over_time": pl.concat(spans)}
        write_report(out, report, details, self.by)
        return report

    def _samples(self, tables: Mapping[str, Table]) -> dict[str, Sample]:
        """Draw the same number of words from each corpus: `words`, or as many as the smallest has."""
        sizes = {label: count_words(table, self.seed) for label, table in tables.items()}
        for label, size in sizes.items():
            if not size.total_words:
                raise RunError(f"'{label}' contains no words", place="from")
        max_words = min(self.words, *(size.total_words for size in sizes.values()))
        return {label: draw_sample(table, sizes[label], max_words, self.seed) for label, table in tables.items()}

    def _sample_metrics(self, sample: Sample) -> Iterator[dict[str, Any]]:
        for n in range(1, 5):
            yield _row(f"distinct-{n}", distinct_ngrams(sample, n), len(sample.words))
        yield from self._overlap_metrics("the nearest other", nearest_overlap(sample, sample, self.k, self.compared))
        gzip, zstd = compression_ratios(sample)
        yield _row("compression ratio (gzip)", gzip, len(sample.texts))
        yield _row("compression ratio (zstd, 128 MiB window)", zstd, len(sample.texts))

    def _overlap_metrics(self, other: str, r: pl.Series) -> Iterator[dict[str, Any]]:
        if r.len():
            yield _row(f"R{self.k} to {other}", _as_float(r.mean()), len(r))
            yield _row(f"R{self.k} to {other}, 95th percentile", _as_float(r.quantile(0.95, "nearest")), len(r))
            yield _row(f"documents with R{self.k} to {other} over 0.8", _as_float((r > 0.8).mean()), len(r))

    def _opening_metrics(self, hashes: pl.Series) -> Iterator[dict[str, Any]]:
        shares = OpeningShares.of(hashes)
        yield _row(f"most frequent opening ({self.opening} words)", shares.top, len(hashes))
        yield _row("ten most frequent openings", shares.top_ten, len(hashes))
        yield _row("different openings per document", shares.distinct, len(hashes))

    def _draw_metrics(self, table: Table) -> Iterator[dict[str, Any]]:
        grid = {name: values if isinstance(values, int) else len(values) for name, values in self.grid.items()}
        for metric, value, count in coverage_metrics(count_draws(table, self.fields, tuple(grid)), grid):
            yield _row(metric, value, count)

    def _reference_metrics(
        self, inputs: StageInputs, samples: Mapping[str, Sample], finder: NearCopyFinder
    ) -> Iterator[dict[str, Any]]:
        """Yield the overlap of each corpus with each reference."""
        for label, table in _tables(inputs, "from").items():
            for other, reference in _tables(inputs, "reference").items():
                copied = finder.of_reference(table, reference)
                r = nearest_overlap(samples[label], samples[other], self.k, self.compared)
                copies = _row(f"near copies of '{other}'", float(copied.mean()), len(copied))
                for row in (copies, *self._overlap_metrics(f"the nearest of '{other}'", r)):
                    yield {"subject": label, **row}


def _tables(inputs: StageInputs, option: str) -> dict[str, Table]:
    return {label: item for label, item in inputs.by_label(option).items() if isinstance(item, Table)}


def _row(metric: str, value: float, n: int) -> dict[str, Any]:
    return {"metric": metric, "value": value, "n": n}


def _as_float(value: Any) -> float:
    return float(value)
