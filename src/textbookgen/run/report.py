"""Write the report of a run: models, evaluation, steps, dropped documents and cost, in Markdown with plots."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence

from textbookgen.api.files import write_text
from textbookgen.api.plots import chart, write_chart
from textbookgen.run.score_table import score_tables
from textbookgen.run.summary import report_rows
from textbookgen.storage.records import ModelSummary, RunPlan, RunSummary, StepSummary
from textbookgen.storage.workspace import RunFolder, StepFolder, Workspace
from textbookgen.training.metrics import parse_metrics

_MAX_CURVE_POINTS = 120
_MAX_REASONS = 12  # of a step, in the table of dropped documents


def write_report(run: RunFolder, workspace: Workspace, summary: RunSummary) -> None:
    """Write `report.md` and its plots to the folder of the run."""
    write_text(run.report, "\n".join(_report(run, workspace, summary)))


def report_text(run: RunFolder) -> str:
    """Return the report as it was written."""
    return run.report.read_text(encoding="utf-8", errors="replace")


def format_duration(seconds: float) -> str:
    """Return a duration such as `0.4 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _report(run: RunFolder, workspace: Workspace, summary: RunSummary) -> Iterator[str]:
    plan = run.plan()
    yield f"# {summary.recipe}\n"
    cached = sum(step.cached for step in summary.steps)
    reused = f", {cached} of them cached from earlier runs" if cached else ""
    steps = f"{len(summary.steps)} of {len(plan.steps)} steps" if summary.error else f"{len(summary.steps)} steps"
    yield f"Run `{run.name}` completed {steps} in {format_duration(summary.seconds)}{reused}. Recipe: `{plan.path}`, "
    yield f"version {plan.version}, seed {plan.seed}.\n"
    if summary.error:
        yield f"**The run failed:**\n\n```\n{summary.error}\n```\n"
    yield from _stand_ins(plan)
    yield from _models_table(summary.models)
    yield from _loss_curves(run, workspace, summary.models)
    yield from score_tables(list(report_rows(workspace, plan, summary.reports)), list(summary.models))
    yield from _evaluation_passages(run, workspace, summary.reports)
    yield from _steps_table(summary.steps)
    yield from _notes(summary.steps)
    yield from _dropped_table(summary.steps)
    yield from _cost_table(plan, summary.steps)


def _stand_ins(plan: RunPlan) -> Iterator[str]:
    """Say so where a program replied in place of a language model."""
    programs = sorted({teacher.use for step in plan.steps for teacher in step.teachers() if teacher.stand_in})
    if programs:
        names = " and ".join(f"`{name}`" for name in programs)
        are = "is a program, not a language model" if len(programs) == 1 else "are programs, not language models"
        yield f"> {names} {are}. This run shows that the recipe works, not how good its data would be with a real teacher.\n"


def _models_table(models: Mapping[str, ModelSummary]) -> Iterator[str]:
    if not models:
        return
    yield "## Models\n"
    yield "| model | parameters | training tokens | held-out bits per byte | tokens per second |\n|---|---:|---:|---:|---:|"
    for label, model in models.items():
        bits = f"{model.bits_per_byte:.3f}" if model.bits_per_byte is not None else ""
        speed = f"{model.tokens_per_second:,.0f}" if model.tokens_per_second else ""
        yield f"| {label} | {model.parameters or 0:,} | {model.tokens or 0:,} | {bits} | {speed} |"
    yield "\nBits per byte are measured on the held-out part of each model's own shards: compare only models that were trained"
    yield "on the same shards.\n"


def _loss_curves(run: RunFolder, workspace: Workspace, models: Mapping[str, ModelSummary]) -> Iterator[str]:
    """Plot the training loss of each model over its training tokens."""
    curves = {label: _loss_curve(workspace.step(model.address)) for label, model in models.items()}
    curves = {label: curve for label, curve in curves.items() if len(curve) > 1}
    if not curves:
        return
    plot = chart("XY", show_dots=False, x_title="training tokens", y_title="training loss (nats per token)")
    for label, curve in curves.items():
        plot.add(label, curve)
    write_chart(plot, run.folder / "loss.svg")
    yield "![Training loss over training tokens](loss.svg)\n"


def _loss_curve(step: StepFolder) -> list[tuple[int, float]]:
    """Return tokens and loss, averaged over stretches of steps so that there are about 120 points."""
    file = step.out / "metrics.jsonl"
    if not file.exists():
        return []
    lines = [line for text in file.read_bytes().splitlines() if (line := parse_metrics(text)) is not None]
    points = [(line["tokens"], line["loss"]) for line in lines if "tokens" in line and "loss" in line]
    size = max(1, len(points) // _MAX_CURVE_POINTS)
    stretches = [points[start : start + size] for start in range(0, len(points), size)]
    return [(stretch[-1][0], sum(loss for _, loss in stretch) / len(stretch)) for stretch in stretches]


def _evaluation_passages(run: RunFolder, workspace: Workspace, reports: Sequence[str]) -> Iterator[str]:
    """Yield what evaluation stages wrote in Markdown; their plots are copied beside the report."""
    for address in reports:
        out = workspace.step(address).out
        for plot in sorted(out.glob("*.svg")):
            shutil.copyfile(plot, run.folder / f"{address}-{plot.name}")
            yield f"![{plot.stem}]({address}-{plot.name})\n"
        for passage in sorted(out.glob("*.md")):
            yield passage.read_text(encoding="utf-8")


def _steps_table(steps: Sequence[StepSummary]) -> Iterator[str]:
    yield "## Steps\n"
    yield "| step | stage | rows in | rows out | dropped | requests | tokens | cost | time | peak memory |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for step in steps:
        numbers = (step.rows_in, step.rows_out, sum(step.dropped.values()), step.requests, step.tokens)
        cells = " | ".join(f"{number:,}" if number else "" for number in numbers)
        cost = f"${step.cost_usd:,.2f}" if step.cost_usd else ""
        duration = f"{format_duration(step.seconds)}{' (cached)' if step.cached else ''}"
        yield f"| {step.label} | `{step.use}` | {cells} | {cost} | {duration} | {step.peak_mib:,.0f} MiB |"
    yield ""


def _notes(steps: Sequence[StepSummary]) -> Iterator[str]:
    """Yield failures, and what stages reported about their work."""
    notes = [
        f"- **{step.label}**: {note}"
        for step in steps
        for note in ([f"{step.failures:,} documents failed"] if step.failures else []) + list(step.notes)
    ]
    if notes:
        yield from ("## Notes\n", *notes, "")


def _dropped_table(steps: Sequence[StepSummary]) -> Iterator[str]:
    if not any(step.dropped for step in steps):
        return
    yield "## Dropped documents\n\n| step | reason | documents |\n|---|---|---:|"
    for step in steps:
        reasons = list(step.dropped.items())
        for reason, count in reasons[:_MAX_REASONS]:
            yield f"| {step.label} | {reason.replace('|', '/')} | {count:,} |"
        if others := reasons[_MAX_REASONS:]:
            yield f"| {step.label} | {len(others):,} other reasons | {sum(count for _, count in others):,} |"
    yield "\n`textbookgen corpus dropped STAGE` shows examples of each reason, `textbookgen corpus why ID` traces a document.\n"


def _cost_table(plan: RunPlan, steps: Sequence[StepSummary]) -> Iterator[str]:
    paid = [step for step in steps if step.cost_usd]
    if not paid:
        return
    teachers = {step.label: ", ".join(dict.fromkeys(teacher.label for teacher in step.teachers())) for step in plan.steps}
    yield "## Teacher cost\n\n| step | teacher | requests | tokens | cost |\n|---|---|---:|---:|---:|"
    for step in paid:
        yield f"| {step.label} | {teachers[step.label]} | {step.requests:,} | {step.tokens:,} | ${step.cost_usd:,.4f} |"
    if len(paid) > 1:
        totals = (sum(step.requests for step in paid), sum(step.tokens for step in paid))
        yield f"| **total** | | {totals[0]:,} | {totals[1]:,} | ${sum(step.cost_usd for step in paid):,.4f} |"
    yield ""
