"""What a plan would take: documents, requests, tokens, money, disk and GPU hours, foreseen without spending any.

Prompts of a generator are rendered on a sample of draws, so what is read is measured. What is written is measured too if
the ledger holds replies to the step's first documents, as it does after `recipe run --limit 20`; otherwise it is the
stage's own expectation, `reply_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from textbookgen.errors import Complaint, TextbookgenError
from textbookgen.ledger import Ledger, request_key
from textbookgen.plan import Plan, PlannedStep
from textbookgen.plugins import Plugins
from textbookgen.sampler import Tally
from textbookgen.stage import CorpusJudge, Evaluate, Generator, Judge, Source, Train, Transform, Volume
from textbookgen.teacher import Message, Request
from textbookgen.workers.generate import drawn, sample_of, seed_of

_SAMPLE = 20  # draws whose prompts are rendered
_BYTES_A_TOKEN = 4.0  # of English and code, for common vocabularies
_STORED = 0.45  # bytes of compressed parquet for a byte of text


@dataclass(frozen=True)
class Foreseen:
    """One step's volume, what its teacher takes for it (None if the price is not known), and of how many replies we know."""

    step: PlannedStep
    volume: Volume
    cost_usd: float | None
    measured: int = 0


@dataclass(frozen=True)
class Forecast:
    """What each step of a plan would take."""

    steps: tuple[Foreseen, ...]
    columns: ClassVar[tuple[str, ...]] = (
        "step",
        "use",
        "gives",
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
        for each in self.steps:
            volume = each.volume
            cost = "" if not volume.requests else "unknown" if each.cost_usd is None else f"${each.cost_usd:,.2f}"
            numbers = (volume.documents, volume.tokens, volume.requests, volume.tokens_in, volume.tokens_out)
            disk = _bytes(volume.disk_bytes)
            hours = f"{volume.gpu_hours:,.1f}" if volume.gpu_hours >= 0.05 else ""
            yield (each.step.label, each.step.use, each.step.gives.name, *map(_number, numbers), cost, disk, hours)

    def sentence(self) -> str:
        """The sums, in a sentence."""
        total = self.as_dict()["total"]
        unknown = any(each.cost_usd is None for each in self.steps)
        money = f"${total['cost_usd']:,.2f}" + (" and what has no price" if unknown else "")
        requests, tokens = _number(total["requests"]) or "0", _number(total["tokens_in"] + total["tokens_out"]) or "0"
        disk, hours = _bytes(total["disk_bytes"]) or "little", f"{total['gpu_hours']:,.1f} GPU hours"
        spent = f"{requests} requests, {tokens} teacher tokens, {money}, {disk} of disk and {hours}"
        return f"In all about {spent}. Nothing was spent."

    def as_dict(self) -> dict[str, Any]:
        """The forecast for programs."""
        names = ("documents", "tokens", "requests", "tokens_in", "tokens_out", "disk_bytes", "gpu_hours")
        steps = [
            {"label": each.step.label, "use": each.step.use, "gives": each.step.gives.name, "address": each.step.address}
            | {name: getattr(each.volume, name) for name in names}
            | {"cost_usd": each.cost_usd, "measured_replies": each.measured}
            for each in self.steps
        ]
        summed = ("requests", "tokens_in", "tokens_out", "cost_usd", "disk_bytes", "gpu_hours")
        return {"steps": steps, "total": {name: sum(step[name] or 0 for step in steps) for name in summed}}

    def warnings(self, plugins: Plugins) -> Iterator[str]:
        """What a user should know before running: here, budgets that will not do."""
        for each in self.steps:
            teacher = each.step.teacher
            budget = teacher.options.budget_usd if teacher else None
            if teacher and budget is not None and each.cost_usd is not None and each.cost_usd > budget:
                cost = f"[stage.{each.step.label}] would cost about ${each.cost_usd:,.2f}"
                yield f"warning: {cost}, and [teacher.{teacher.label}] may spend ${budget:,.2f}"


@dataclass(frozen=True)
class Measured:
    """Means over the replies that a step's first documents have in the ledger."""

    replies: int
    tokens_in: float
    tokens_out: float
    cost_usd: float


def foresee(plan: Plan, ledger: Path | None = None) -> Forecast:
    """Walks the plan from the top, volumes flowing where documents would; `ledger` may hold replies to learn from."""
    if ledger is None or not ledger.exists():
        return _Walk(plan, None).forecast()
    kept = Ledger(ledger)
    try:
        return _Walk(plan, kept).forecast()
    finally:
        kept.close()


@dataclass
class _Walk:
    plan: Plan
    ledger: Ledger | None
    volumes: dict[str, Volume] = field(default_factory=dict)

    def forecast(self) -> Forecast:
        return Forecast(tuple(self._step(step) for step in self.plan.steps))

    def _step(self, step: PlannedStep) -> Foreseen:
        flows = {option: _sum([self.volumes[label] for label in labels]) for option, labels in step.pipes.items()}
        volume = step.stage.foresee(flows) or self._guess(step, flows)
        measured = self._measured(step)
        if measured is not None:
            tokens = volume.requests * measured.tokens_out
            volume = replace(volume, tokens_in=volume.requests * measured.tokens_in, tokens_out=tokens)
        self.volumes[step.label] = volume
        if not volume.requests or step.teacher is None:
            return Foreseen(step, volume, 0.0)
        if measured is not None:
            return Foreseen(step, volume, volume.requests * measured.cost_usd, measured.replies)
        price = step.teacher.options.price()
        return Foreseen(step, volume, None if price is None else price.cost(int(volume.tokens_in), int(volume.tokens_out)))

    def _guess(self, step: PlannedStep, flows: Mapping[str, Volume]) -> Volume:
        """A family's own guess."""
        inflow = flows.get("from", Volume())
        match step.stage:
            case Source():
                return Volume()
            case Generator():
                return self._written(step, inflow)
            case Judge() | CorpusJudge():
                return Volume(
                    inflow.documents, inflow.tokens, disk_bytes=None if inflow.documents is None else 40 * inflow.documents
                )
            case Transform():
                return _stored(Volume(inflow.documents, inflow.tokens))
            case Train() | Evaluate():
                return Volume()
            case _:
                return Volume(inflow.documents, inflow.tokens, disk_bytes=None if inflow.tokens is None else 2 * inflow.tokens)

    def _measured(self, step: PlannedStep) -> Measured | None:
        """What the first documents' replies came to; None if a stage asks in turns of its own, or nothing was asked yet."""
        stage, teacher = step.stage, step.teacher
        if not isinstance(stage, Generator) or teacher is None or self.ledger is None or stage.inputs:
            return None
        if type(stage).write is not Generator.write:
            return None
        found, seed = [], seed_of(step)
        for n in range(_SAMPLE):
            draw = drawn(step, seed, n, Tally())
            messages = (Message("user", self.plan.prompts.render(stage.prompt, draw)),)
            request = Request(messages, task=stage.task, draw=draw, sample=sample_of(stage, n))
            reply = self.ledger.get(request_key(teacher.options, teacher.use, request))
            found += [reply] if reply is not None else []
        if not found:
            return None
        sums = [sum(getattr(reply, name) for reply in found) for name in ("tokens_in", "tokens_out", "cost_usd")]
        return Measured(len(found), *(total / len(found) for total in sums))

    def _written(self, step: PlannedStep, inflow: Volume) -> Volume:
        stage = step.stage
        assert isinstance(stage, Generator)
        documents: float | None = stage.count
        if stage.inputs:
            documents = stage.sample if inflow.documents is None else min(inflow.documents, stage.sample or inflow.documents)
        if documents is None:
            return Volume()
        read, written = self._prompt_tokens(step, inflow), float(stage.reply_tokens)
        return _stored(Volume(documents, documents * written, documents, documents * read, documents * written))

    def _prompt_tokens(self, step: PlannedStep, inflow: Volume) -> float:
        """Tokens of a prompt, a mean over rendered draws; a source document counts as long as those of its stage are."""
        stage, sampler = step.stage, step.sampler
        assert isinstance(stage, Generator)
        each = inflow.tokens / inflow.documents if inflow.tokens and inflow.documents else 500.0
        document = {"id": "0", "text": "x" * int(each * _BYTES_A_TOKEN), "kind": "document"}
        lengths = []
        for n in range(_SAMPLE if sampler else 1):
            draw = sampler.options.draw(n, Random(f"forecast/{n}"), Tally()) if sampler else {}
            try:
                lengths.append(len(self.plan.prompts.render(stage.prompt, {**draw, "document": document}).encode()))
            except TextbookgenError:  # a stage of several turns fills its prompts as it goes
                return each + 300.0
        return sum(lengths) / len(lengths) / _BYTES_A_TOKEN


def _sum(volumes: Sequence[Volume]) -> Volume:
    """Several inflows as one; unknown if one of them is."""

    def total(name: str) -> float | None:
        values = [getattr(volume, name) for volume in volumes]
        return None if None in values else sum(values)

    return Volume(total("documents"), total("tokens"), parameters=volumes[0].parameters if len(volumes) == 1 else None)


def _stored(volume: Volume) -> Volume:
    return replace(volume, disk_bytes=None if volume.tokens is None else volume.tokens * _BYTES_A_TOKEN * _STORED)


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


def needs_text(needs: Sequence[Complaint]) -> str:
    """What a well-written recipe still needs before it can run."""
    return "Before it can run:\n\n" + "\n\n".join(map(str, needs))
