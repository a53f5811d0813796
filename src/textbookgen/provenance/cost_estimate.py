"""Estimate what a plan will take before it runs: documents, requests, tokens, cost, disk space and GPU hours.

Prompts of a generator are rendered for a sample of draws, so prompt tokens are measured. If the ledger has the replies to the
step's first documents, as after `recipe run --limit 20`, everything is measured: requests per document, tokens, cost and the
acceptance rate, and the cost has a confidence interval. Otherwise the length of replies is the stage's `reply_tokens`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import NormalDist, stdev
from typing import Any

from textbookgen.api.errors import TextbookgenError, WorkspaceError
from textbookgen.api.generator import Generator
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import CorpusFilter, Estimate, Evaluator, Filter, Source, Trainer, Transform
from textbookgen.llm import Usage
from textbookgen.provenance.lineage import Lineage
from textbookgen.recipe.plan import GeneratorStep, Plan, PlannedStep
from textbookgen.run.workers.accept import COUNT_REACHED
from textbookgen.run.workers.replay import MAX_DOCUMENTS, replay
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import Workspace

_SAMPLED_DRAWS = 20  # draws whose prompts are rendered
_BYTES_PER_TOKEN = 4.0  # of English and code, for common vocabularies
_COMPRESSION = 0.45  # bytes of parquet per byte of text
_VERDICT_BYTES = 40  # bytes of a verdict on disk
_PACKED_BYTES_PER_TOKEN = 2
_DEFAULT_DOCUMENT_TOKENS = 500.0  # of an input document whose length is not known
_DEFAULT_PROMPT_TOKENS = 300.0  # of a prompt that cannot be rendered beforehand, besides its input document


@dataclass(frozen=True)
class StepEstimate:
    """What one step is expected to take.

    Attributes:
        step: the step.
        volume: its output and requests.
        cost_usd: what its teacher charges; None if the price is not known.
        sampled_documents: documents whose stored replies the estimate is based on; 0 if there are none.
        margin_usd: half the width of the 90 % confidence interval of the cost; None if it was not measured.
    """

    step: PlannedStep
    volume: Estimate
    cost_usd: float | None
    sampled_documents: int = 0
    margin_usd: float | None = None


@dataclass(frozen=True)
class CostEstimate:
    """What each step of a plan is expected to take, and what stages warn of."""

    steps: tuple[StepEstimate, ...]
    stage_warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate for programs."""
        names = ("documents", "tokens", "requests", "tokens_in", "tokens_out", "disk_bytes", "gpu_hours")
        steps = [
            {"label": item.step.label, "use": item.step.use, "output": item.step.output.name, "address": item.step.address}
            | {name: getattr(item.volume, name) for name in names}
            | {"cost_usd": item.cost_usd, "margin_usd": item.margin_usd, "sampled_documents": item.sampled_documents}
            for item in self.steps
        ]
        summed = ("requests", "tokens_in", "tokens_out", "cost_usd", "disk_bytes", "gpu_hours")
        return {"steps": steps, "total": {name: sum(step[name] or 0 for step in steps) for name in summed}}

    def warnings(self) -> Iterator[str]:
        """Yield what a user should know before running: warnings of stages, and budgets that are too small."""
        yield from self.stage_warnings
        for item in self.steps:
            teacher = item.step.teacher
            budget = teacher.options.budget_usd if teacher else None
            if teacher and budget is not None and item.cost_usd is not None and item.cost_usd > budget:
                cost = f"[stage.{item.step.label}] will cost about ${item.cost_usd:,.2f}"
                yield f"{cost}, but the budget of [teacher.{teacher.label}] is ${budget:,.2f}"


@dataclass(frozen=True)
class CostSample:
    """Means per document over some documents of a step; `relative_error` is the standard error of the cost over its mean."""

    documents: int
    requests: float
    tokens_in: float
    tokens_out: float
    cost_usd: float
    relative_error: float

    @property
    def relative_margin(self) -> float:
        """Half the width of the 90 % confidence interval of the mean cost, relative to the mean."""
        return self.relative_error * _student_t_95(self.documents - 1)

    @classmethod
    def of(cls, usages: Sequence[Usage]) -> CostSample:
        """Return the means over documents, from the usage of each (at least one)."""

        def mean(name: str) -> float:
            return float(sum(getattr(usage, name) for usage in usages)) / len(usages)

        cost = mean("saved_usd")
        deviation = stdev(usage.saved_usd for usage in usages) if len(usages) > 1 else cost
        error = deviation / cost / math.sqrt(len(usages)) if cost else 0.0
        return cls(len(usages), mean("from_ledger"), mean("saved_tokens_in"), mean("saved_tokens_out"), cost, error)


def estimate_cost(plan: Plan, workspace: Workspace | None = None) -> CostEstimate:
    """Estimate what a plan will take.

    Args:
        plan: the plan.
        workspace: where stored replies and an earlier run of the recipe may be found.
    """
    if workspace is None or not workspace.ledger.exists():
        return _Estimator(plan).estimate()
    ledger = Ledger(workspace.ledger)
    try:
        return _Estimator(plan, ledger, _latest_run(workspace, plan.recipe.name)).estimate()
    finally:
        ledger.close()


def _latest_run(workspace: Workspace, recipe: str) -> Lineage | None:
    """Return the latest run of this recipe, limited or not."""
    names = [run.name for run in workspace.runs() if run.plan().recipe == recipe]
    return Lineage(workspace, names[-1]) if names else None


@dataclass
class _Estimator:
    """Walks a plan, with the volume of each step's output as the input of later ones."""

    plan: Plan
    ledger: Ledger | None = None
    earlier_run: Lineage | None = None
    volumes: dict[str, Estimate] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def estimate(self) -> CostEstimate:
        steps = tuple(self._step(step) for step in self.plan.steps)
        return CostEstimate(steps, tuple(self.warnings))

    def _step(self, step: PlannedStep) -> StepEstimate:
        inputs = {option: _sum([self.volumes[label] for label in labels]) for option, labels in step.inputs.items()}
        inputs |= {f"{option}.{label}": self.volumes[label] for option, labels in step.inputs.items() for label in labels}
        self.warnings += [f"[stage.{step.label}] {warning}" for warning in step.stage.warnings(inputs)]
        volume = step.stage.estimate(inputs) or self._default_volume(step, inputs.get("from", Estimate()))
        volume = replace(volume, synthetic=self._is_synthetic(step))
        if isinstance(step, GeneratorStep) and (sample := self._sample(step)) is not None:
            return self._from_sample(step, volume, sample)
        self.volumes[step.label] = volume
        if not volume.requests or step.teacher is None:
            return StepEstimate(step, volume, 0.0)
        price = step.teacher.options.price()
        cost = None if price is None else price.cost(int(volume.tokens_in), int(volume.tokens_out))
        return StepEstimate(step, volume, cost)

    def _is_synthetic(self, step: PlannedStep) -> bool:
        """Return whether a teacher wrote the output: the step is a generator, or all of its input is synthetic."""
        if isinstance(step.stage, Generator):
            return True
        return bool(labels := step.inputs.get("from", ())) and all(self.volumes[label].synthetic for label in labels)

    def _default_volume(self, step: PlannedStep, source: Estimate) -> Estimate:
        """Return the estimate of a stage that makes none itself, by its family."""
        documents, tokens = source.documents, source.tokens
        if isinstance(step, GeneratorStep):
            return self._generated(step, source)
        match step.stage:
            case Source() | Trainer() | Evaluator():
                return Estimate()
            case Filter() | CorpusFilter():
                return Estimate(documents, tokens, disk_bytes=None if documents is None else _VERDICT_BYTES * documents)
            case Transform():
                return _with_disk_bytes(Estimate(documents, tokens))
            case _:
                return Estimate(documents, tokens, disk_bytes=None if tokens is None else _PACKED_BYTES_PER_TOKEN * tokens)

    # -- generators

    def _generated(self, step: GeneratorStep, source: Estimate) -> Estimate:
        stage = step.stage
        documents: float | None = stage.count
        if stage.inputs:
            documents = stage.sample if source.documents is None else min(source.documents, stage.sample or source.documents)
        if documents is None:
            return Estimate()
        prompt, reply = self._prompt_tokens(step, source), float(stage.reply_tokens)
        return _with_disk_bytes(Estimate(documents, documents * reply, documents, documents * prompt, documents * reply))

    def _prompt_tokens(self, step: GeneratorStep, source: Estimate) -> float:
        """Return the mean length of rendered prompts in tokens; an input document has the mean length of its stage."""
        stage, sampler = step.stage, step.sampler
        document_tokens = source.tokens / source.documents if source.tokens and source.documents else _DEFAULT_DOCUMENT_TOKENS
        document = {"id": "0", "text": "x" * int(document_tokens * _BYTES_PER_TOKEN), "kind": "document"}
        lengths = []
        for n in range(_SAMPLED_DRAWS if sampler else 1):
            draw = sampler.options.draw(n, Random(f"forecast/{n}"), AcceptedStats()) if sampler else {}
            try:
                lengths.append(len(self.plan.prompts.render(stage.prompt, {**draw, "document": document}).encode()))
            except TextbookgenError:  # a stage of several turns renders its prompts from earlier replies
                return document_tokens + _DEFAULT_PROMPT_TOKENS
        return sum(lengths) / len(lengths) / _BYTES_PER_TOKEN

    def _sample(self, step: GeneratorStep) -> CostSample | None:
        """Return what the step's first documents took; None if none of their replies are stored."""
        if self.ledger is None:
            return None
        documents = self._first_inputs(step) if step.stage.inputs else None
        if documents == []:
            return None
        usages = replay(step, self.plan.prompts, self.ledger, documents)
        return CostSample.of(usages) if usages else None

    def _first_inputs(self, step: PlannedStep) -> list[dict[str, Any]]:
        """Return the first input documents of a step in the earlier run."""
        documents: list[dict[str, Any]] = []
        for label in step.inputs["from"]:
            try:
                missing = MAX_DOCUMENTS - len(documents)
                documents += self.earlier_run.first_documents(label, missing) if self.earlier_run else []
            except WorkspaceError:  # that run did not reach the stage, or had no such stage
                break
        return documents

    def _from_sample(self, step: GeneratorStep, volume: Estimate, sample: CostSample) -> StepEstimate:
        """Extrapolate from a sample: rejected documents are paid for too."""
        draws = (volume.documents or 0.0) / self._acceptance_rate(step)
        cost = draws * sample.cost_usd
        volume = replace(
            volume,
            requests=draws * sample.requests,
            tokens_in=draws * sample.tokens_in,
            tokens_out=draws * sample.tokens_out,
        )
        self.volumes[step.label] = volume
        return StepEstimate(step, volume, cost, sample.documents, cost * sample.relative_margin)

    def _acceptance_rate(self, step: GeneratorStep) -> float:
        """Return the share of documents that passed the filters of `accept` in the earlier run."""
        if not step.stage.accept or step.stage.inputs or self.earlier_run is None:
            return 1.0
        try:
            counts = self.earlier_run.count_verdicts(step.label)
        except WorkspaceError:
            return 1.0
        passed, total = counts.get("", 0) + counts.get(COUNT_REACHED, 0), sum(counts.values())
        return max(passed, 1) / total if total else 1.0


def _sum(volumes: Sequence[Estimate]) -> Estimate:
    """Return several inputs as one; a sum is unknown if one of its terms is."""

    def total(name: str) -> float | None:
        values = [getattr(volume, name) for volume in volumes]
        return None if None in values else sum(values)

    return Estimate(total("documents"), total("tokens"), parameters=volumes[0].parameters if len(volumes) == 1 else None)


def _with_disk_bytes(volume: Estimate) -> Estimate:
    """Return the estimate with the size of its text as compressed parquet."""
    disk_bytes = None if volume.tokens is None else volume.tokens * _BYTES_PER_TOKEN * _COMPRESSION
    return replace(volume, disk_bytes=disk_bytes)


def _student_t_95(degrees: int) -> float:
    """Return the 95 % quantile of Student's t, by the Cornish-Fisher expansion; within 0.01 from four degrees of freedom."""
    z, n = NormalDist().inv_cdf(0.95), max(degrees, 1)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
