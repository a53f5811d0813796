"""What a plan would take: documents, requests, tokens, money, disk and GPU hours, foreseen without spending any.

Prompts of a generator are rendered on a sample of draws, so what is read is measured. If the ledger holds the replies to
the step's first documents, as it does after `recipe run --limit 20`, all is measured: requests a document, tokens, cost, the
share that judges accepted; and the cost has an error bar. Otherwise what is written is the stage's own expectation,
`reply_tokens`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import NormalDist, stdev
from typing import Any, ClassVar

from textbookgen.api.errors import Diagnostic, TextbookgenError, WorkspaceError
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import CorpusFilter, Estimate, Evaluator, Filter, Generator, Source, Trainer, Transform
from textbookgen.llm import Usage
from textbookgen.provenance.lineage import Lineage
from textbookgen.recipe.planner import Plan, PlannedStep
from textbookgen.recipe.plugin_manager import Plugins
from textbookgen.run.workers.accept import ENOUGH
from textbookgen.run.workers.replay import MOST, rehearse
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import Workspace

_SAMPLE = 20  # draws whose prompts are rendered
_BYTES_A_TOKEN = 4.0  # of English and code, for common vocabularies
_STORED = 0.45  # bytes of compressed parquet for a byte of text


@dataclass(frozen=True)
class Foreseen:
    """One step's volume, and what its teacher takes for it (None if the price is not known).

    `measured` is how many documents that was learnt from; `margin_usd` is half of the interval that holds the cost in nine
    cases of ten, None if it was not measured.
    """

    step: PlannedStep
    volume: Estimate
    cost_usd: float | None
    measured: int = 0
    margin_usd: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What each step of a plan would take."""

    steps: tuple[Foreseen, ...]
    cautions: tuple[str, ...] = ()
    columns: ClassVar[tuple[str, ...]] = (
        "step",
        "use",
        "output",
        "documents",
        "tokens",
        "requests",
        "tokens read",
        "tokens written",
        "cost",
        "disk",
        "GPU hours",
    )

    def rows(self) -> Iterator[tuple[str, ...]]:
        """One row a step, as people read it."""
        for item in self.steps:
            volume = item.volume
            cost = "" if not volume.requests else "unknown" if item.cost_usd is None else _money(item.cost_usd, item.margin_usd)
            numbers = (volume.documents, volume.tokens, volume.requests, volume.tokens_in, volume.tokens_out)
            disk = _bytes(volume.disk_bytes)
            hours = f"{volume.gpu_hours:,.1f}" if volume.gpu_hours >= 0.05 else ""
            yield (item.step.label, item.step.use, item.step.output.name, *map(_number, numbers), cost, disk, hours)

    def sentence(self) -> str:
        """The sums, in a sentence."""
        total = self.as_dict()["total"]
        unknown = any(item.cost_usd is None for item in self.steps)
        margin = math.hypot(*[item.margin_usd or 0.0 for item in self.steps]) or None
        money = _money(total["cost_usd"], margin) + (" and what has no price" if unknown else "")
        requests, tokens = _number(total["requests"]) or "0", _number(total["tokens_in"] + total["tokens_out"]) or "0"
        disk, hours = _bytes(total["disk_bytes"]) or "little", f"{total['gpu_hours']:,.1f} GPU hours"
        spent = f"{requests} requests, {tokens} teacher tokens, {money}, {disk} of disk and {hours}"
        return f"In all about {spent}. Nothing was spent."

    def as_dict(self) -> dict[str, Any]:
        """The forecast for programs."""
        names = ("documents", "tokens", "requests", "tokens_in", "tokens_out", "disk_bytes", "gpu_hours")
        steps = [
            {"label": item.step.label, "use": item.step.use, "output": item.step.output.name, "address": item.step.address}
            | {name: getattr(item.volume, name) for name in names}
            | {"cost_usd": item.cost_usd, "margin_usd": item.margin_usd, "measured_documents": item.measured}
            for item in self.steps
        ]
        summed = ("requests", "tokens_in", "tokens_out", "cost_usd", "disk_bytes", "gpu_hours")
        return {"steps": steps, "total": {name: sum(step[name] or 0 for step in steps) for name in summed}}

    def warnings(self, plugins: Plugins) -> Iterator[str]:
        """What a user should know before running: budgets that will not do, and what stages caution against."""
        yield from (f"warning: {warnings}" for warnings in self.cautions)
        for item in self.steps:
            teacher = item.step.teacher
            budget = teacher.options.budget_usd if teacher else None
            if teacher and budget is not None and item.cost_usd is not None and item.cost_usd > budget:
                cost = f"[stage.{item.step.label}] would cost about ${item.cost_usd:,.2f}"
                yield f"warning: {cost}, and [teacher.{teacher.label}] may spend ${budget:,.2f}"


@dataclass(frozen=True)
class Measured:
    """Means over a step's first documents, as the ledger has them; `error` is the standard error of the cost, as a share."""

    documents: int
    requests: float
    tokens_in: float
    tokens_out: float
    cost_usd: float
    error: float

    @property
    def margin(self) -> float:
        """Half of the interval that holds the mean cost in nine cases of ten, as a share of it."""
        return self.error * _student_t(self.documents - 1)

    @classmethod
    def of(cls, taken: Sequence[Usage]) -> Measured:
        """What documents take, from what each of some took."""

        def mean(name: str) -> float:
            return float(sum(getattr(item, name) for item in taken)) / len(taken)

        cost = mean("saved_usd")
        spread = stdev(item.saved_usd for item in taken) if len(taken) > 1 else cost
        error = spread / cost / math.sqrt(len(taken)) if cost else 0.0
        return cls(len(taken), mean("from_ledger"), mean("saved_tokens_in"), mean("saved_tokens_out"), cost, error)


def estimate(plan: Plan, workspace: Workspace | None = None) -> Forecast:
    """Walks the plan from the top, volumes flowing where documents would; `workspace` may hold a run to learn from."""
    if workspace is None or not workspace.ledger.exists():
        return _Walk(plan).forecast()
    ledger = Ledger(workspace.ledger)
    try:
        return _Walk(plan, ledger, _latest(workspace, plan.recipe.name)).forecast()
    finally:
        ledger.close()


def _latest(workspace: Workspace, recipe: str) -> Lineage | None:
    """The latest run of this recipe, whole or limited."""
    named = [run.name for run in workspace.runs() if run.plan()["recipe"] == recipe]
    return Lineage(workspace, named[-1]) if named else None


@dataclass
class _Walk:
    plan: Plan
    ledger: Ledger | None = None
    trial: Lineage | None = None
    volumes: dict[str, Estimate] = field(default_factory=dict)
    cautions: list[str] = field(default_factory=list)

    def forecast(self) -> Forecast:
        steps = tuple(self._step(step) for step in self.plan.steps)
        return Forecast(steps, tuple(self.cautions))

    def _step(self, step: PlannedStep) -> Foreseen:
        inputs = {option: _sum([self.volumes[label] for label in labels]) for option, labels in step.inputs.items()}
        inputs |= {f"{option}.{label}": self.volumes[label] for option, labels in step.inputs.items() for label in labels}
        self.cautions += [f"[stage.{step.label}] {warnings}" for warnings in step.stage.warnings(inputs)]
        volume = step.stage.estimate(inputs) or self._guess(step, inputs)
        volume = replace(volume, synthetic=self._is_written(step))
        measured = self._measured(step)
        if measured is not None:
            return self._as_measured(step, volume, measured)
        self.volumes[step.label] = volume
        if not volume.requests or step.teacher is None:
            return Foreseen(step, volume, 0.0)
        price = step.teacher.options.price()
        return Foreseen(step, volume, None if price is None else price.cost(int(volume.tokens_in), int(volume.tokens_out)))

    def _is_written(self, step: PlannedStep) -> bool:
        """Whether a teacher wrote what flows out: a generator's, or all of what flowed in."""
        if isinstance(step.stage, Generator):
            return True
        return bool(labels := step.inputs.get("from", ())) and all(self.volumes[label].synthetic for label in labels)

    def _guess(self, step: PlannedStep, inputs: Mapping[str, Estimate]) -> Estimate:
        """A family's own guess."""
        inflow = inputs.get("from", Estimate())
        match step.stage:
            case Source():
                return Estimate()
            case Generator():
                return self._written(step, inflow)
            case Filter() | CorpusFilter():
                return Estimate(
                    inflow.documents, inflow.tokens, disk_bytes=None if inflow.documents is None else 40 * inflow.documents
                )
            case Transform():
                return _stored(Estimate(inflow.documents, inflow.tokens))
            case Trainer() | Evaluator():
                return Estimate()
            case _:
                return Estimate(
                    inflow.documents, inflow.tokens, disk_bytes=None if inflow.tokens is None else 2 * inflow.tokens
                )

    def _as_measured(self, step: PlannedStep, volume: Estimate, measured: Measured) -> Foreseen:
        """A generator's volume and cost, from what its first documents took; more are drawn than judges accept."""
        accepted = self._accepted(step)
        drawn = (volume.documents or 0.0) / accepted
        cost = drawn * measured.cost_usd
        volume = replace(
            volume,
            requests=drawn * measured.requests,
            tokens_in=drawn * measured.tokens_in,
            tokens_out=drawn * measured.tokens_out,
        )
        self.volumes[step.label] = volume
        return Foreseen(step, volume, cost, measured.documents, cost * measured.margin)

    def _measured(self, step: PlannedStep) -> Measured | None:
        """What the first documents took; None if nothing was asked yet."""
        stage = step.stage
        if not isinstance(stage, Generator) or step.teacher is None or self.ledger is None:
            return None
        documents = None
        if stage.inputs:
            documents = self._asked_about(step)
            if not documents:
                return None
        taken = rehearse(step, self.plan.prompts, self.ledger, documents)
        return Measured.of(taken) if taken else None

    def _asked_about(self, step: PlannedStep) -> list[dict[str, Any]]:
        """The first documents that flowed into a step in the latest run."""
        result: list[dict[str, Any]] = []
        for label in step.inputs["from"]:
            try:
                result += self.trial.first(label, MOST - len(result)) if self.trial else []
            except WorkspaceError:  # that run did not come so far, or the recipe has another stage now
                break
        return result

    def _accepted(self, step: PlannedStep) -> float:
        """The share of draws that the judges of a generator's `accept` let pass in the latest run."""
        assert isinstance(step.stage, Generator)
        if not step.stage.accept or step.stage.inputs or self.trial is None:
            return 1.0
        try:
            counts = self.trial.verdicts(step.label)
        except WorkspaceError:
            return 1.0
        accepted, drawn = counts.get("", 0) + counts.get(ENOUGH, 0), sum(counts.values())
        return max(accepted, 1) / drawn if drawn else 1.0

    def _written(self, step: PlannedStep, inflow: Estimate) -> Estimate:
        stage = step.stage
        assert isinstance(stage, Generator)
        documents: float | None = stage.count
        if stage.inputs:
            documents = stage.sample if inflow.documents is None else min(inflow.documents, stage.sample or inflow.documents)
        if documents is None:
            return Estimate()
        read, written = self._prompt_tokens(step, inflow), float(stage.reply_tokens)
        return _stored(Estimate(documents, documents * written, documents, documents * read, documents * written))

    def _prompt_tokens(self, step: PlannedStep, inflow: Estimate) -> float:
        """Tokens of a prompt, a mean over rendered draws; a source document counts as long as those of its stage are."""
        stage, sampler = step.stage, step.sampler
        assert isinstance(stage, Generator)
        item = inflow.tokens / inflow.documents if inflow.tokens and inflow.documents else 500.0
        document = {"id": "0", "text": "x" * int(item * _BYTES_A_TOKEN), "kind": "document"}
        lengths = []
        for n in range(_SAMPLE if sampler else 1):
            draw = sampler.options.draw(n, Random(f"forecast/{n}"), AcceptedStats()) if sampler else {}
            try:
                lengths.append(len(self.plan.prompts.render(stage.prompt, {**draw, "document": document}).encode()))
            except TextbookgenError:  # a stage of several turns fills its prompts as it goes
                return item + 300.0
        return sum(lengths) / len(lengths) / _BYTES_A_TOKEN


def _sum(volumes: Sequence[Estimate]) -> Estimate:
    """Several inflows as one; unknown if one of them is."""

    def total(name: str) -> float | None:
        values = [getattr(volume, name) for volume in volumes]
        return None if None in values else sum(values)

    return Estimate(total("documents"), total("tokens"), parameters=volumes[0].parameters if len(volumes) == 1 else None)


def _stored(volume: Estimate) -> Estimate:
    return replace(volume, disk_bytes=None if volume.tokens is None else volume.tokens * _BYTES_A_TOKEN * _STORED)


def _student_t(degrees: int) -> float:
    """The 95% quantile of Student's t, by Cornish and Fisher's expansion; within a hundredth from four degrees on."""
    z, n = NormalDist().inv_cdf(0.95), max(degrees, 1)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)


def _money(cost: float, margin: float | None) -> str:
    """Dollars, with the error bar where there is one."""
    return f"${cost:,.2f}" + (f" ± {margin:,.2f}" if margin else "")


def _number(value: float | None) -> str:
    """A count as people read it: 1,234, 5.6 M, 7.8 B."""
    if not value:
        return ""
    for size, name in ((1e12, " T"), (1e9, " B"), (1e6, " M")):
        if value >= size:
            return f"{value / size:,.1f}{name}"
    return f"{value:,.0f}"


def _bytes(value: float | None) -> str:
    if not value:
        return ""
    for size, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value / 1024:,.0f} KiB"


def needs_text(missing_requirements: Sequence[Diagnostic]) -> str:
    """What a well-written recipe still needs before it can run."""
    return "Before it can run:\n\n" + "\n\n".join(map(str, missing_requirements))
