"""The tables of scores in a report: every benchmark, metric and subset with a column per subject, and all other figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textbookgen.api.rows import ALL_ITEMS

Row = Mapping[str, Any]

#: The order of subsets: what a model cannot have seen comes before what training may have given away.
SUBSETS = ("dissimilar", ALL_ITEMS, "similar")

_KEY = ("benchmark", "metric", "subset")


def score_tables(rows: Sequence[Row], models: Sequence[str]) -> Iterator[str]:
    """Yield Markdown with every figure of a run, each once.

    Args:
        rows: figures of evaluations, as `textbookgen.run.summary.report_rows` yields them.
        models: labels of models, whose columns come first.
    """
    scores = [row for row in rows if row["benchmark"] is not None]
    if scores:
        yield from ("## Scores\n", *_pivot(scores, models), "", *_explanation(scores))
    others = [row for row in rows if row["benchmark"] is None]
    if others:
        yield "## Other figures\n\n| subject | metric | value | standard error | n |\n|---|---|---:|---:|---:|"
        for row in others:
            name = row["metric"] if row["subset"] == ALL_ITEMS else f"{row['metric']}, {row['subset']}"
            stderr = "" if row["stderr"] is None else f"{row['stderr']:,.2g}"
            yield f"| {row['subject']} | {name} | {_value(row['value'])} | {stderr} | {_count(row['n'])} |"
        yield ""


def _pivot(scores: Sequence[Row], models: Sequence[str]) -> Iterator[str]:
    """Yield one line per benchmark, metric and subset, and, where several steps scored the same, per step."""
    subjects = [label for label in models if any(row["subject"] == label for row in scores)]
    subjects += dict.fromkeys(row["subject"] for row in scores if row["subject"] not in subjects)
    counts = Counter((row["subject"], *(row[name] for name in _KEY)) for row in scores)
    has_steps = max(counts.values()) > 1
    lines: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in scores:
        lines.setdefault((*(row[name] for name in _KEY), row["step"] if has_steps else ""), {})[row["subject"]] = row
    yield f"| benchmark | metric | items | n |{' step |' if has_steps else ''} {' | '.join(subjects)} |"
    yield f"|---|---|---|---:|{'---|' if has_steps else ''}{'---:|' * len(subjects)}"
    for key in _ordered(lines):
        cells = lines[key]
        sizes = {row["n"] for row in cells.values() if row["n"] is not None}  # published figures have none
        size = _count(sizes.pop()) if len(sizes) == 1 else ""
        step = f" {key[3]} |" if has_steps else ""
        shown = (_cell(cells.get(subject), with_size=not size) for subject in subjects)
        yield f"| {key[0]} | {key[1]} | {key[2]} | {size} |{step} {' | '.join(shown)} |"


def _ordered(keys: Mapping[tuple[Any, ...], object]) -> list[tuple[Any, ...]]:
    """Return the keys by benchmark and metric, as these occur first, then by subset."""
    places: dict[tuple[Any, ...], int] = {}
    for benchmark, metric, _, _ in keys:
        for prefix in ((benchmark,), (benchmark, metric)):
            places.setdefault(prefix, len(places))
    order = {subset: place for place, subset in enumerate(SUBSETS)}
    return sorted(keys, key=lambda key: (places[key[:1]], places[key[:2]], order.get(key[2], len(SUBSETS))))


def _explanation(scores: Sequence[Row]) -> Iterator[str]:
    yield "Values are means over n items with their standard errors."
    if any(row["subset"] in ("similar", "dissimilar") for row in scores):
        yield "Items are *similar* if the training data has a near match, at a similarity of 0.8 or more. What a model does on"
        yield "*dissimilar* items is what it learned; the rest it may have memorized.\n"
    else:
        yield "No stage compares the items with the training data, so these scores may include what was memorized;"
        yield "`decontamination/overlap` separates it.\n"


def _cell(row: Row | None, with_size: bool) -> str:
    if row is None or row["value"] is None:
        return ""
    stderr = "" if row["stderr"] is None else f" ± {row['stderr']:.3f}"
    size = f" (n = {row['n']:,})" if with_size and row["n"] is not None else ""
    return f"{row['value']:,.3f}{stderr}{size}"


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def _count(n: int | None) -> str:
    return "" if n is None else f"{n:,}"
