"""`diversity/measure`: figures, tables and plots of how various a corpus is, beside those of a reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Chats, Diagnostic, Documents, Evaluator, Input, Labels, RunError, StageInputs, Table
from textbookgen_diversity import passages
from textbookgen_diversity.copies import Likeness, by_family, copied_from, copies, families, over_time
from textbookgen_diversity.coverage import count_draws, figures
from textbookgen_diversity.openings import openings, shares
from textbookgen_diversity.overlaps import nearest
from textbookgen_diversity.words import Sample, Sizes, compression, distinct, draw, sizes


class Measure(Evaluator):
    """Measures how various each corpus is, beside a reference where one is given.

    Of a sample of `words` words, the same number from each corpus (for these figures hang on it): distinct-1 to -4,
    compression ratios, and R, the share of a document's different k-grams that its nearest neighbour has too (TinyStories,
    arXiv 2305.07759, section 4), among `compared` documents. Of every document: how they begin, how evenly what was drawn
    occurs and what of `grid` is covered, and near copies (MinHash finds them, their true Jaccard index decides), by prompt
    family and over time. Memory holds the sample, some 20 bytes a document, and no more than 512 MiB of index.
    """

    name: ClassVar[str] = "measure"

    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(
        alias="from", description="stages above, each measured by itself"
    )
    reference: Annotated[Labels, Input(Documents, Chats)] = Field(
        (), description="stages above that these are held against: an older corpus, or one that people wrote"
    )
    words: int = Field(1_000_000, gt=0, description="words of each corpus that are counted, of documents drawn evenly")
    k: int = Field(2, gt=0, description="words of a k-gram for R")
    compared: int = Field(500, gt=1, description="documents whose nearest neighbours are looked for among each other, for R")
    opening: int = Field(5, gt=0, description="documents begin alike if so many first words are the same, case apart")
    fields: tuple[str, ...] = Field((), description="fields of `draw` to count; all that are no free text unless named")
    grid: dict[str, int | tuple[Any, ...]] = Field(
        default_factory=dict,
        description="what could be drawn, for coverage: each field with its values, or how many there are, such as "
        '{ topic = "@topics.txt", level = 5 }',
    )
    by: str = Field("kind", description="what makes a prompt family: `kind`, `step`, or a field of `draw`")
    spans: int = Field(10, gt=0, description="the corpus in so many spans, in the order it was written, to see it change")
    threshold: float = Field(0.8, gt=0, lt=1, description="true Jaccard index from which a document is a near copy")
    shingle: int = Field(5, gt=0, description="words in a shingle, for near copies")
    seed: int = Field(0, description="another seed draws another sample")

    def check(self) -> Iterable[Diagnostic]:
        """A corpus that is its own reference."""
        if twice := sorted(set(self.inputs) & set(self.reference)):
            yield Diagnostic("reference", f"'{twice[0]}' is measured already", "name another stage, or leave `reference` out")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures; `openings`, `families` and `over_time` are tables, with plots beside them."""
        named = {label: flow for option in ("from", "reference") for label, flow in inputs.by_label(option).items()}
        tables = {label: flow for label, flow in named.items() if isinstance(flow, Table)}
        samples = self._samples(tables)
        likeness = Likeness(self.threshold, self.shingle)
        rows: list[dict[str, Any]] = []
        begins, repeats, spans = [], [], []
        for label, table in tables.items():
            hashes, commonest = openings(table, self.opening)
            copied = copies(table, likeness, inputs)
            rows += [
                {"subject": label, **row}
                for row in (
                    *self._of_words(samples[label]),
                    *self._of_openings(hashes),
                    _row("near copies", float(copied.mean()), len(copied)),
                    *self._of_draws(table),
                )
            ]
            begins.append(commonest.with_columns(subject=pl.lit(label)))
            repeats.append(by_family(copied, families(table, self.by)).with_columns(subject=pl.lit(label)))
            spans.append(over_time(copied, hashes, self.spans).with_columns(subject=pl.lit(label)))
        rows += self._against_reference(inputs, samples, likeness)
        result = {"openings": pl.concat(begins), "families": pl.concat(repeats), "over_time": pl.concat(spans)}
        passages.write(out, pl.DataFrame(rows, schema=_FIGURES), result, self.by)
        return pl.DataFrame(rows, schema=_FIGURES)

    def _samples(self, tables: Mapping[str, Table]) -> dict[str, Sample]:
        """As many words of each corpus as the smallest has, and no more than wanted."""
        known: dict[str, Sizes] = {label: sizes(table, self.seed) for label, table in tables.items()}
        for label, each in known.items():
            if not each.total:
                raise RunError(f"'{label}' holds no word", place="from")
        most = min(self.words, *(each.total for each in known.values()))
        return {label: draw(table, known[label], most, self.seed) for label, table in tables.items()}

    def _of_words(self, sample: Sample) -> Iterator[dict[str, Any]]:
        for n in range(1, 5):
            yield _row(f"distinct-{n}", distinct(sample, n), len(sample.words))
        yield from self._of_overlap("the nearest other", nearest(sample, sample, self.k, self.compared))
        near, far = compression(sample)
        yield _row("compression ratio (gzip)", near, len(sample.texts))
        yield _row("compression ratio (zstd, 128 MiB window)", far, len(sample.texts))

    def _of_overlap(self, whom: str, r: pl.Series) -> Iterator[dict[str, Any]]:
        if r.len():
            yield _row(f"R{self.k} to {whom}", _number(r.mean()), len(r))
            yield _row(f"R{self.k} to {whom}, 95th percentile", _number(r.quantile(0.95, "nearest")), len(r))
            yield _row(f"documents with R{self.k} to {whom} over 0.8", _number((r > 0.8).mean()), len(r))

    def _of_openings(self, hashes: pl.Series) -> Iterator[dict[str, Any]]:
        result = shares(hashes)
        yield _row(f"commonest opening ({self.opening} words)", result["first"], len(hashes))
        yield _row("ten commonest openings", result["ten"], len(hashes))
        yield _row("different openings a document", result["different"], len(hashes))

    def _of_draws(self, table: Table) -> Iterator[dict[str, Any]]:
        grid = {name: values if isinstance(values, int) else len(values) for name, values in self.grid.items()}
        drawn = count_draws(table, self.fields, tuple(grid))
        for metric, value, number in figures(drawn, grid):
            yield _row(metric, value, number)

    def _against_reference(
        self, inputs: StageInputs, samples: Mapping[str, Sample], likeness: Likeness
    ) -> Iterator[dict[str, Any]]:
        """How much each corpus has of each reference."""
        for label, table in inputs.by_label("from").items():
            for other, reference in inputs.by_label("reference").items():
                assert isinstance(table, Table) and isinstance(reference, Table)
                copied = copied_from(table, reference, likeness, inputs)
                yield {"subject": label, **_row(f"near copies of '{other}'", float(copied.mean()), len(copied))}
                r = nearest(samples[label], samples[other], self.k, self.compared)
                for row in self._of_overlap(f"the nearest of '{other}'", r):
                    yield {"subject": label, **row}


def _row(metric: str, value: float, n: int) -> dict[str, Any]:
    return {"metric": metric, "value": value, "n": n}


def _number(value: Any) -> float:
    return float(value)


_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "n": pl.Int64}
