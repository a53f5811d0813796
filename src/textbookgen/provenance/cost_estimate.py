"""Estimate what a plan will take before it runs: documents, requests, tokens, cost, disk space and GPU hours.

Prompts of a generator are rendered for a sample of draws, so prompt tokens are measured. If the ledger has the replies to the
step's first documents, as after `recipe run --limit 20`, everything is measured: requests per document, tokens, cost and the
acceptance rate, and the cost has a confidence interval. Otherwise the length of replies is the stage's `reply_tokens`.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import NormalDist, stdev
from typing import Any

from textbookgen.api.errors import TextbookgenError, WorkspaceError
from textbookgen.api.generator import Generator
from textbookgen.api.grader import Grader
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import CorpusFilter, Estimate, Evaluator, Filter, Source, Trainer, Transform
from textbookgen.api.teacher import Teacher
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.llm import Usage
from textbookgen.provenance.lineage import Lineage
from textbookgen.recipe.plan import Component, GeneratorStep, GraderStep, Plan, PlannedStep
from textbookgen.recipe.prompt_checks import document_variables
from textbookgen.run.workers.accept import COUNT_REACHED
from textbookgen.run.workers.replay import MAX_DOCUMENTS, replay, replay_grades
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
        volume: its output and requests, with those of the graders in `accept`.
        cost_usd: what its teachers charge; None if a price is not known.
        sampled_documents: documents whose stored replies the estimate is based on; 0 if there are none.
        margin_usd: half the width of the 90 % confidence interval of the cost; None if it was not measured.
        costs: what each teacher charges, by its label.
    """

    step: PlannedStep
    volume: Estimate
    cost_usd: float | None
    sampled_documents: int = 0
    margin_usd: float | None = None
    costs: Mapping[str, float | None] = field(default_factory=dict)


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
            for teacher in teachers_of(item.step):
                budget, cost = teacher.options.budget_usd, item.costs.get(teacher.label)
                if budget is not None and cost is not None and cost > budget:
                    problem = f"[stage.{item.step.label}] will cost about ${cost:,.2f}"
                    yield f"{problem}, but the budget of [teacher.{teacher.label}] is ${budget:,.2f}"


def disk_warnings(estimate: CostEstimate, folder: Path) -> Iterator[str]:
    """Yield a warning if the estimated output does not fit on the disk of a folder, which may not exist yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    needed, free = sum(item.volume.disk_bytes or 0 for item in estimate.steps), shutil.disk_usage(existing).free
    if needed > free:
        yield f"the run will write about {needed / 2**30:,.1f} GiB, but the disk of {folder} has {free / 2**30:,.1f} GiB free"


def teachers_of(step: PlannedStep) -> list[Component[Teacher]]:
    """Return the teachers that a step asks, each once: its own, those of the graders in its `accept`, or of an evaluation."""
    teachers = [step.teacher, *(item.teacher for item in step.filters), *step.asked]
    return list({teacher.label: teacher for teacher in teachers if teacher is not None}.values())


@dataclass(frozen=True)
class CostSample:
    """Means per document over some documents of a step; `relative_error` is the standard error of the cost over its mean.

    `costs` are the means by the label of the teacher.
    """

    documents: int
    requests: float
    tokens_in: float
    tokens_out: float
    cost_usd: float
    relative_error: float
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def relative_margin(self) -> float:
        """Half the width of the 90 % confidence interval of the mean cost, relative to the mean."""
        return self.relative_error * _student_t_95(self.documents - 1)

    @classmethod
    def of(cls, usages: Sequence[Mapping[str, Usage]]) -> CostSample:
        """Return the means over documents.

        Args:
            usages: the usage of each document (at least one) by the label of the teacher.
        """
        documents = len(usages)

        def mean(name: str) -> float:
            return float(sum(getattr(usage, name) for by_teacher in usages for usage in by_teacher.values())) / documents

        cost = mean("saved_usd")
        each = [sum(usage.saved_usd for usage in by_teacher.values()) for by_teacher in usages]
        error = (stdev(each) if documents > 1 else cost) / cost / math.sqrt(documents) if cost else 0.0
        costs: dict[str, float] = {}
        for by_teacher in usages:
            for label, usage in by_teacher.items():
                costs[label] = costs.get(label, 0.0) + usage.saved_usd / documents
        return cls(documents, mean("from_ledger"), mean("saved_tokens_in"), mean("saved_tokens_out"), cost, error, costs)


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
        if isinstance(step, GeneratorStep | GraderStep) and (sample := self._sample(step)) is not None:
            return self._from_sample(step, volume, sample)
        if isinstance(step.stage, TeacherEvaluator) and step.asked:
            return self._evaluation(step, step.stage, inputs)
        self.volumes[step.label] = volume
        if not volume.requests or step.teacher is None:
            return StepEstimate(step, volume, 0.0)
        costs = {step.teacher.label: _cost(step.teacher, volume)}
        for item in step.filters:
            if item.teacher is not None and isinstance(item.options, Grader):
                asked = self._graded(item.options, Estimate(volume.documents, volume.tokens))
                before, cost = costs.get(item.teacher.label, 0.0), _cost(item.teacher, asked)
                costs[item.teacher.label] = None if before is None or cost is None else before + cost
                volume = replace(
                    volume,
                    requests=volume.requests + asked.requests,
                    tokens_in=volume.tokens_in + asked.tokens_in,
                    tokens_out=volume.tokens_out + asked.tokens_out,
                )
        known = [cost for cost in costs.values() if cost is not None]
        return StepEstimate(step, volume, sum(known) if len(known) == len(costs) else None, costs=costs)

    def _evaluation(self, step: PlannedStep, stage: TeacherEvaluator, inputs: Mapping[str, Estimate]) -> StepEstimate:
        """Return the estimate of an evaluation that asks teachers."""
        requests = stage.estimate_requests(inputs, self.plan.resolver)
        costs = {teacher.label: _cost(teacher, requests.get(teacher.label, Estimate())) for teacher in step.asked}
        known = [cost for cost in costs.values() if cost is not None]
        volume = Estimate(
            requests=sum(asked.requests for asked in requests.values()),
            tokens_in=sum(asked.tokens_in for asked in requests.values()),
            tokens_out=sum(asked.tokens_out for asked in requests.values()),
        )
        self.volumes[step.label] = volume
        return StepEstimate(step, volume, sum(known) if len(known) == len(costs) else None, costs=costs)

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
        if isinstance(step, GraderStep):
            return self._graded(step.stage, source)
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
        turns, per_reply = stage.requests_per_draw(), stage.documents_per_draw()
        draws = documents if stage.inputs else documents / per_reply
        written = draws * per_reply
        # Each turn sends the conversation so far again.
        sent = turns * prompt + turns * (turns - 1) / 2 * (prompt + reply)
        return _with_disk_bytes(Estimate(written, draws * reply, draws * turns, draws * sent, draws * turns * reply))

    def _graded(self, grader: Grader, source: Estimate) -> Estimate:
        """Return the estimate of asking about each document of a stage."""
        if source.documents is None:
            return Estimate(None, source.tokens)
        prompt = self._template_tokens(grader.prompt, [{}], source)
        requests, replies = source.documents, source.documents * grader.reply_tokens
        disk_bytes = _VERDICT_BYTES * source.documents
        return Estimate(source.documents, source.tokens, requests, requests * prompt, replies, disk_bytes)

    def _prompt_tokens(self, step: GeneratorStep, source: Estimate) -> float:
        """Return the mean length of the first prompt of some draws, in tokens."""
        sampler, more = step.sampler, step.stage.template_variables("prompt") or {}
        draws = [
            (sampler.options.draw(n, Random(f"forecast/{n}"), AcceptedStats()) if sampler else {}) | dict(more)
            for n in range(_SAMPLED_DRAWS if sampler else 1)
        ]
        return self._template_tokens(step.stage.prompt, draws, source)

    def _template_tokens(self, template: str, draws: Sequence[Mapping[str, Any]], source: Estimate) -> float:
        """Return the mean length of rendered prompts in tokens; an input document has the mean length of its stage."""
        document_tokens = source.tokens / source.documents if source.tokens and source.documents else _DEFAULT_DOCUMENT_TOKENS
        text = "x" * int(document_tokens * _BYTES_PER_TOKEN)
        document = document_variables({"id": "0", "text": text, "kind": "document"})
        lengths = []
        for draw in draws:
            try:
                lengths.append(len(self.plan.prompts.render(template, {**draw, **document}).encode()))
            except TextbookgenError:  # a stage of several turns renders its prompts from earlier replies
                return document_tokens + _DEFAULT_PROMPT_TOKENS
        return sum(lengths) / len(lengths) / _BYTES_PER_TOKEN

    def _sample(self, step: GeneratorStep | GraderStep) -> CostSample | None:
        """Return what the step's first documents took; None if none of their replies are stored."""
        if self.ledger is None:
            return None
        documents = self._first_inputs(step) if step.stage.inputs else None
        if documents == []:
            return None
        if isinstance(step, GraderStep):
            usages = replay_grades(step, self.plan.prompts, self.ledger, documents or [])
        else:
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

    def _from_sample(self, step: GeneratorStep | GraderStep, volume: Estimate, sample: CostSample) -> StepEstimate:
        """Extrapolate from a sample: rejected documents are paid for too."""
        documents = volume.documents or 0.0
        if isinstance(step, GeneratorStep) and not step.stage.inputs:
            documents /= step.stage.documents_per_draw()
        draws = documents / (self._acceptance_rate(step) if isinstance(step, GeneratorStep) else 1.0)
        cost = draws * sample.cost_usd
        volume = replace(
            volume,
            requests=draws * sample.requests,
            tokens_in=draws * sample.tokens_in,
            tokens_out=draws * sample.tokens_out,
        )
        self.volumes[step.label] = volume
        costs = {label: draws * each for label, each in sample.costs.items()}
        return StepEstimate(step, volume, cost, sample.documents, cost * sample.relative_margin, costs)

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


def _cost(teacher: Component[Teacher], volume: Estimate) -> float | None:
    """Return what a teacher charges for these requests; None if its price is not known."""
    price = teacher.options.price()
    return None if price is None else price.cost(int(volume.tokens_in), int(volume.tokens_out))


def _with_disk_bytes(volume: Estimate) -> Estimate:
    """Return the estimate with the size of its text as compressed parquet."""
    disk_bytes = None if volume.tokens is None else volume.tokens * _BYTES_PER_TOKEN * _COMPRESSION
    return replace(volume, disk_bytes=disk_bytes)


def _student_t_95(degrees: int) -> float:
    """Return the 95 % quantile of Student's t, by the Cornish-Fisher expansion; within 0.01 from four degrees of freedom."""
    z, n = NormalDist().inv_cdf(0.95), max(degrees, 1)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
