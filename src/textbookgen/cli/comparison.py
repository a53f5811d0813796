"""`textbookgen run compare` for people: tables of costs, models and scores, and how to read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textbookgen.cli import show

if TYPE_CHECKING:
    from textbookgen.run.comparison import Comparison, ModelFigures, PairedScore, UnpairedScore

_MODEL_COLUMNS = ("model", "parameters", "training tokens", "training time", "tokens per second", "held-out bits per byte")
_SCORE_COLUMNS = (
    *("model", "benchmark", "metric", "items", "n", "first", "second", "difference"),
    *("95% interval", "p", "p adjusted", "detectable"),
)
_HOW_TO_READ = """\
Differences are second minus first, over the items that both were scored on, with 95% intervals. p: {tests}; adjusted for
{count} comparisons (Holm). Detectable: the smallest true difference that this many items show with a probability of 80%."""


def print_comparison(comparison: Comparison) -> None:
    """Print the tables of a comparison."""
    _print_costs(comparison)
    if comparison.paired:
        show.table(_SCORE_COLUMNS, map(_score_row, comparison.paired))
        tests = " and ".join(sorted({score.test for score in comparison.paired}))
        show.echo(_HOW_TO_READ.format(tests=tests, count=len(comparison.paired)))
    if comparison.unpaired:
        show.echo("\nFigures without scores of single items, and so without intervals and tests:")
        show.table(("model", "figure", "first", "second", "difference"), map(_unpaired_row, comparison.unpaired))
    if not comparison.paired and not comparison.unpaired:
        show.echo("These models have no score in common.")
    for note in (*comparison.notes, *_unmatched(comparison.paired)):
        show.echo(note)


def _print_costs(comparison: Comparison) -> None:
    from textbookgen.run.report import format_duration

    first, second = comparison.runs
    rows = [
        ("time of all steps", format_duration(first.seconds), format_duration(second.seconds)),
        ("requests to teachers", f"{first.requests:,}", f"{second.requests:,}"),
        ("tokens of teachers", f"{first.teacher_tokens:,}", f"{second.teacher_tokens:,}"),
        ("cost of teachers", f"${first.cost_usd:,.2f}", f"${second.cost_usd:,.2f}"),
        ("tokens trained on", f"{first.trained_tokens:,}", f"{second.trained_tokens:,}"),
    ]
    show.table(("run", f"first: {first.run}", f"second: {second.run}"), rows)
    trained = [pair for pair in comparison.models if any(model.parameters for model in pair)]
    if trained:
        show.table(_MODEL_COLUMNS, [_model_row(*pair) for pair in trained])
        show.echo("Held-out bits per byte are of each model's own shards: they only compare models trained on the same.\n")


def _pair(first: str, second: str) -> str:
    return first if first == second else f"{first} → {second}"


def _figure(benchmark: str | None, metric: str, subset: str) -> str:
    return " ".join(filter(None, (benchmark, metric, "" if subset == "all" else f"({subset})")))


def _model_row(first: ModelFigures, second: ModelFigures) -> Sequence[str]:
    from textbookgen.run.report import format_duration

    def cell(name: str, form: str) -> str:
        return " → ".join(
            "–" if value is None else f"{value:{form}}" for value in (getattr(first, name), getattr(second, name))
        )

    times = " → ".join("–" if model.seconds is None else format_duration(model.seconds) for model in (first, second))
    return (
        _pair(first.model, second.model),
        cell("parameters", ","),
        cell("tokens", ","),
        times,
        cell("tokens_per_second", ",.0f"),
        cell("bits_per_byte", ".3f"),
    )


def _unpaired_row(score: UnpairedScore) -> Sequence[str]:
    figure = _figure(score.benchmark, score.metric, score.subset)
    values = (f"{score.first:,.4g}", f"{score.second:,.4g}", f"{score.difference:+,.4g}")
    return (_pair(score.first_model, score.second_model), figure, *values)


def _score_row(score: PairedScore) -> Sequence[str]:
    interval = "" if score.low is None else f"{score.low:+.3f} … {score.high:+.3f}"
    detectable = "none" if score.min_detectable is None else f"{score.min_detectable:.3f}"
    return (
        *(_pair(score.first_model, score.second_model), score.benchmark, score.metric, score.subset, f"{score.n:,}"),
        *(f"{score.first:.3f}", f"{score.second:.3f}", f"{score.difference:+.3f}", interval),
        *(_p_value(score.p), _p_value(score.p_adjusted), detectable),
    )


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _unmatched(scores: Sequence[PairedScore]) -> Iterator[str]:
    """Yield a sentence for each score that leaves out items which only one of the models was scored on."""
    for score in scores:
        if score.unmatched_first or score.unmatched_second:
            name = f"{_pair(score.first_model, score.second_model)}, {_figure(score.benchmark, score.metric, score.subset)}"
            counts = f"{score.unmatched_first:,} items of the first and {score.unmatched_second:,} of the second"
            yield f"{name}: left out {counts}, which the other was not scored on"
