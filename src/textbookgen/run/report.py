"""What a run came to: its figures as JSON, and the report that people read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_text
from textbookgen.api.plots import chart, write_chart
from textbookgen.storage.workspace import RunFolder, StepFolder, Workspace

_STEP = ("rows_in", "rows_out", "dropped", "failures", "requests", "tokens", "cost_usd", "seconds", "peak_mib", "notes")


def summarise(
    workspace: Workspace,
    plan: Mapping[str, Any],
    records: Mapping[str, tuple[StepRecord, bool]],
    seconds: float,
    error: str = "",
) -> dict[str, Any]:
    """The figures of a run: one entry a step that is done, one a model; `records` says which steps were there before."""
    done = [step for step in plan["steps"] if step["label"] in records]
    return {
        "recipe": plan["recipe"],
        "seconds": round(seconds, 3),
        "error": error,
        "steps": [_step(step, *records[step["label"]]) for step in done],
        "models": dict(_models(workspace, done)),
        "reports": [step["address"] for step in done if "Report" in step["output"]],
    }


def _step(step: Mapping[str, Any], record: StepRecord, cached: bool) -> dict[str, Any]:
    facts = {"label": step["label"], "use": step["use"], "address": step["address"], "cached": cached}
    told = asdict(record)
    return {**facts, **{name: told[name] for name in _STEP}}


def _models(workspace: Workspace, steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    figures = list(_figures(workspace, steps))
    for step in steps:
        if "Checkpoint" not in step["output"]:
            continue
        card = json.loads((workspace.step(step["address"]).out / "checkpoint.json").read_text(encoding="utf-8"))
        scores = {
            item["metric"]: {key: item.get(key) for key in ("value", "stderr", "n")}
            for item in figures
            if item["subject"] == step["label"]
        }
        passed = next((score for metric, score in scores.items() if metric.startswith("pass@1")), None)
        known = {key: card.get(key) for key in ("parameters", "tokens", "bits_per_byte", "tokens_per_second")}
        yield step["label"], {**known, "pass_at_1": passed, "scores": scores, "address": step["address"]}


def _figures(workspace: Workspace, steps: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if "Report" in step["output"]:
            yield from pl.read_parquet(workspace.step(step["address"]).out / "report.parquet").to_dicts()


def write_report(run: RunFolder, summary: Mapping[str, Any]) -> None:
    """Writes `run.json` and `report.md`, with plots beside them."""
    workspace = Workspace(run.folder.parents[1])
    write_text(run.folder / "run.json", json.dumps(summary, indent=1) + "\n")
    write_text(run.report, "\n".join(_report(run, workspace, summary)))


def _report(run: RunFolder, workspace: Workspace, summary: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {summary['recipe']}\n"
    cached = sum(step["cached"] for step in summary["steps"])
    kept = f", {cached} of them kept from earlier runs" if cached else ""
    yield f"Run `{run.name}`: {len(summary['steps'])} steps in {clock(summary['seconds'])}{kept}.\n"
    if summary["error"]:
        yield f"**It stopped:**\n\n```\n{summary['error']}\n```\n"
    yield from _stand_ins(run.plan())
    yield from _models_table(summary["models"])
    yield from _curves(run, workspace, summary["models"])
    yield from _measurements(workspace, summary)
    yield from _passages(run, workspace, summary["reports"])
    yield from _steps_table(summary["steps"])
    yield from _dropped(summary["steps"])
    yield from _money(run.plan(), summary["steps"])


def _stand_ins(plan: Mapping[str, Any]) -> Iterator[str]:
    """Says so where a program answered in place of a language model."""
    programs = sorted({step["teacher"]["use"] for step in plan["steps"] if step["teacher"] and step["teacher"]["stand_in"]})
    if programs:
        yield f"> The teacher `{programs[0]}` is a program, not a language model: a stand-in that needs no key.\n"


def _models_table(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not models:
        return
    yield "## Models\n"
    yield "| model | parameters | tokens seen | held-out bits per byte | pass@1 |\n|---|---:|---:|---:|---:|"
    for label, model in models.items():
        score = model["pass_at_1"]
        passed = f"{score['value']:.1%} ± {score['stderr'] or 0:.1%} (n = {score['n']})" if score else ""
        bits = f"{model['bits_per_byte']:.3f}" if model["bits_per_byte"] is not None else ""
        yield f"| {label} | {model['parameters'] or 0:,} | {model['tokens'] or 0:,} | {bits} | {passed} |"
    yield "\nBits per byte are of the text each model held out of its own shards; the error is one standard error.\n"


def _measurements(workspace: Workspace, summary: Mapping[str, Any]) -> Iterator[str]:
    """Every other figure of the measuring stages."""
    told = {
        (label, metric)
        for label, model in summary["models"].items()
        for metric in model["scores"]
        if metric.startswith("pass@1")
    }
    steps = [{"address": address, "output": "Report"} for address in summary["reports"]]
    rows = [item for item in _figures(workspace, steps) if (item["subject"], item["metric"]) not in told]
    if not rows:
        return
    yield "## Measurements\n\n| of | metric | value | standard error | n |\n|---|---|---:|---:|---:|"
    for item in rows:
        value = "" if item["value"] is None else f"{item['value']:,.4g}"
        stderr = "" if item.get("stderr") is None else f"{item['stderr']:,.2g}"
        yield f"| {item['subject']} | {item['metric']} | {value} | {stderr} | {item.get('n') or ''} |"
    yield ""


def _curves(run: RunFolder, workspace: Workspace, models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The loss of each model over the tokens it was trained on."""
    curves = {label: _curve(workspace.step(model["address"])) for label, model in models.items()}
    curves = {label: curve for label, curve in curves.items() if len(curve) > 1}
    if not curves:
        return
    drawn = chart("XY", show_dots=False, x_title="tokens", y_title="training loss (nats a token)")
    for label, curve in curves.items():
        drawn.add(label, curve)
    write_chart(drawn, run.folder / "loss.svg")
    yield "![training loss over tokens](loss.svg)\n"


def _curve(step: StepFolder, points: int = 120) -> list[tuple[int, float]]:
    """Tokens and loss, at most `points` of them, each the mean of its stretch."""
    file = step.out / "metrics.jsonl"
    if not file.exists():
        return []
    result = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    pairs = [(item["tokens"], item["loss"]) for item in result if "tokens" in item and "loss" in item]
    stretch = max(1, len(pairs) // points)
    groups = [pairs[at : at + stretch] for at in range(0, len(pairs), stretch)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def _passages(run: RunFolder, workspace: Workspace, reports: Sequence[str]) -> Iterator[str]:
    """What the measuring stages wrote for people, their plots copied beside the report."""
    for address in reports:
        out = workspace.step(address).out
        for plot in sorted(out.glob("*.svg")):
            shutil.copyfile(plot, run.folder / f"{address}-{plot.name}")
            yield f"![{plot.stem}]({address}-{plot.name})\n"
        for passage in sorted(out.glob("*.md")):
            yield passage.read_text(encoding="utf-8")


def _steps_table(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Steps\n"
    yield "| step | use | rows in | rows out | dropped | requests | tokens | cost | time | peak memory |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for step in steps:
        numbers = [step["rows_in"], step["rows_out"], sum(step["dropped"].values()), step["requests"], step["tokens"]]
        cells = [f"{number:,}" if number else "" for number in numbers]
        cost = f"${step['cost_usd']:,.2f}" if step["cost_usd"] else ""
        spent = f"{clock(step['seconds'])}{' (kept)' if step['cached'] else ''}"
        yield f"| {step['label']} | `{step['use']}` | {' | '.join(cells)} | {cost} | {spent} | {step['peak_mib']:,.0f} MiB |"
    yield ""
    for step in steps:
        failed = [f"{step['failures']:,} documents failed"] if step["failures"] else []
        for note in [*failed, *step["notes"]]:
            yield f"- **{step['label']}**: {note}"
    yield ""


def _dropped(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not any(step["dropped"] for step in steps):
        return
    yield "## What was dropped, and why\n\n| step | reason | documents |\n|---|---|---:|"
    for step in steps:
        for reason, count in list(step["dropped"].items())[:12]:
            yield f"| {step['label']} | {reason.replace('|', '/')} | {count:,} |"
    yield "\n`textbookgen corpus dropped LABEL` shows examples, `textbookgen corpus why ID` one document's whole story.\n"


def _money(plan: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    spent = {step["label"]: step for step in steps if step["cost_usd"]}
    if not spent:
        return
    yield "## What teachers cost\n\n| step | teacher | requests | tokens | cost |\n|---|---|---:|---:|---:|"
    for planned in plan["steps"]:
        if planned["label"] in spent:
            step = spent[planned["label"]]
            asked = f"{step['requests']:,} | {step['tokens']:,} | ${step['cost_usd']:,.4f}"
            yield f"| {step['label']} | {planned['teacher']['label']} | {asked} |"
    yield ""


def clock(seconds: float) -> str:
    """A time as people say it: `0.4 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def report_text(run: RunFolder) -> str:
    """The report as it was written."""
    return Path(run.report).read_text(encoding="utf-8")


def unfinished(workspace: Workspace, run: RunFolder) -> dict[str, Any]:
    """The figures of a run that was killed, or is still going: those of its steps that are done."""
    plan = run.plan()
    records = {
        step["label"]: record for step in plan["steps"] if (record := workspace.step(step["address"]).record()) is not None
    }
    seconds = sum(record.seconds for record in records.values())
    return summarise(workspace, plan, {label: (record, False) for label, record in records.items()}, seconds, "not finished")


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Where two plans differ: label, option, and the two values; a stage that differs only by what flows in says so."""
    ones, others = ({step["label"]: step for step in plan["steps"]} for plan in (first, second))
    for label in [*ones, *(label for label in others if label not in ones)]:
        one, other = ones.get(label), others.get(label)
        if one is None or other is None:
            yield label, "stage", "" if one is None else one["use"], "" if other is None else other["use"]
        elif one["fingerprint"] != other["fingerprint"]:
            yield from _changed(label, one, other)


def _changed(label: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    result = False
    facts = [
        {"use": step["use"], **step["options"], "teacher": step["teacher"], "sampler": step["sampler"]} for step in (one, other)
    ]
    for key in sorted(facts[0].keys() | facts[1].keys()):
        before, after = facts[0].get(key), facts[1].get(key)
        if before != after:
            result = True
            yield label, key, json.dumps(before, default=str)[:80], json.dumps(after, default=str)[:80]
    if not result:
        yield label, "what flows in, a prompt, or files outside", one["fingerprint"][:12], other["fingerprint"][:12]
