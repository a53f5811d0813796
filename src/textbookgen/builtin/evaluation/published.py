"""Published figures of other models, as columns beside measured ones: read from `published.toml`, each with its source."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

#: What follows the name of a model in reports, since its figures are not measured here.
MARK = " (published)"


@dataclass(frozen=True)
class PublishedFigure:
    """One figure of a publication.

    Attributes:
        benchmark: as `evaluate` names it, without form and number of examples.
        metric: as `evaluate` names it.
        value: the figure; a share, not per cent.
        how: how the authors measured it, such as `8-shot chain of thought`; empty if they do not say.
        form: the form of the benchmark that it belongs to, such as `program` of `gsm8k`; empty if any.
    """

    benchmark: str
    metric: str
    value: float
    how: str = ""
    form: str = ""


@dataclass(frozen=True)
class PublishedModel:
    """The figures of one model, and where they are published."""

    name: str
    source: str
    figures: tuple[PublishedFigure, ...]


@lru_cache(maxsize=1)
def published_models() -> dict[str, PublishedModel]:
    """Return all models of `published.toml` by name."""
    text = files("textbookgen.builtin.evaluation").joinpath("published.toml").read_text(encoding="utf-8")
    return {
        name: PublishedModel(
            name,
            table["source"],
            tuple(PublishedFigure(**{"metric": table.get("metric", ""), **row}) for row in table["figures"]),
        )
        for name, table in tomllib.loads(text).items()
    }


def published_rows(names: Sequence[str], measured: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows of the report for each figure of these models on a benchmark and metric that was measured.

    Args:
        names: names of models.
        measured: rows of the report.
    """
    for name in names:
        for figure, benchmark in _matching(published_models()[name], measured):
            yield {"subject": name + MARK, "benchmark": benchmark, "metric": figure.metric, "value": figure.value}


def _matching(model: PublishedModel, measured: Sequence[dict[str, Any]]) -> Iterator[tuple[PublishedFigure, str]]:
    """Yield the figures of a model with the names of the measured benchmarks that they belong to."""
    known = dict.fromkeys((row["benchmark"], row["metric"]) for row in measured if row["benchmark"] is not None)
    for figure in model.figures:
        for benchmark, metric in known:
            base, _, details = benchmark.partition(" (")
            forms = details.rstrip(")").split(", ")
            if (base, metric) == (figure.benchmark, figure.metric) and (not figure.form or figure.form in forms):
                yield figure, benchmark


def render_published(names: Sequence[str], measured: Sequence[dict[str, Any]]) -> str:
    """Return Markdown that says where the published figures come from and how they were measured; empty without any."""
    lines = []
    for name in names:
        model = published_models()[name]
        ways = dict.fromkeys(f"{figure.benchmark}: {figure.how}" for figure, _ in _matching(model, measured) if figure.how)
        how = f" Measured by the authors as follows: {'; '.join(ways)}." if ways else ""
        matches = next(_matching(model, measured), None)
        lines.append(
            f"- **{name}**: {model.source}.{how}" if matches else f"- **{name}**: nothing is known on these benchmarks."
        )
    if not lines:
        return ""
    head = "Columns marked *published* are the authors' figures. They were not measured here: prompts and settings differ."
    return "\n".join(["## Published figures\n", f"{head}\n", *lines, ""])
