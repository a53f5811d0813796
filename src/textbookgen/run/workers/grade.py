"""Ask a grader's teacher about documents: as a stage with parts of verdicts, or for a generator's `accept`.

A verdict is a pure function of the document and the replies about it, which are in the ledger. A missing part of verdicts can
therefore be written again at any time with the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Table
from textbookgen.api.errors import RequestRefused, RunError, TeacherBusy, UnusableReply
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.grader import VERDICT_COLUMNS, Grader
from textbookgen.api.stage import StageInputs
from textbookgen.llm import Client, TeacherSession, bounded_map
from textbookgen.recipe.plan import GraderStep
from textbookgen.recipe.prompts import Prompts
from textbookgen.run.workers.ask import StageAsk, graded_draw, sample_number
from textbookgen.run.workers.context import StepContext, count_rows, verdict_record
from textbookgen.run.workers.failures import FAILURE_SCHEMA, TooManyFailures
from textbookgen.run.workers.interruptible import run_interruptible
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import FAILURES, VERDICTS, part_number

#: The beginning of the reason of a document that could not be graded.
UNGRADED = "not graded"

#: The number of a part, the place of a document in it, and its row.
_Place = tuple[int, int, Mapping[str, Any]]


@dataclass
class Grade:
    """The verdict on one document, and the failure if it could not be graded."""

    verdict: dict[str, Any]
    failure: dict[str, Any] | None = None


class Grading:
    """Grades documents with one grader; use with `async with`. `failures` counts the documents that could not be graded.

    Args:
        grader: the grader, already prepared.
        use: the name by which recipes select its teacher.
        session: what all clients of its teacher share.
        prompts: the prompt templates of the plan.
        ledger: where replies are looked up and stored.
        offline: answer from the ledger only.
        total: how many documents it will be asked about at least, for `max_failures`.
    """

    def __init__(
        self,
        grader: Grader,
        use: str,
        session: TeacherSession,
        prompts: Prompts,
        ledger: Ledger,
        *,
        offline: bool,
        total: int,
    ) -> None:
        self.grader, self.prompts, self.total = grader, prompts, total
        self.schema = {**VERDICT_COLUMNS, **grader.own_columns()}
        self.failures = self.graded = 0
        self.client = Client(session.teacher, use, ledger, session=session, max_cost_usd=grader.max_cost_usd, offline=offline)

    async def __aenter__(self) -> Grading:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.client.__aexit__(*error)

    async def verdicts(self, docs: pl.DataFrame) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """Return the verdicts on some documents, with the columns of `schema`, and the failures, both in their order.

        Raises:
            TooManyFailures: more documents could not be graded than `max_failures` allows.
        """
        graded: dict[int, Grade] = {}
        rows = ((0, at, row) for at, row in enumerate(docs.iter_rows(named=True)))
        async with aclosing(self.grades(rows)) as grades:
            async for (_, at, _), grade in grades:
                graded[at] = grade
        ordered = [graded[at] for at in range(len(docs))]
        failures = [grade.failure for grade in ordered if grade.failure is not None]
        return self.frame([grade.verdict for grade in ordered]), failures

    async def grades(self, places: Iterable[_Place]) -> AsyncGenerator[tuple[_Place, Grade], None]:
        """Yield the grade of each document as it is complete, in any order.

        Raises:
            TooManyFailures: more documents could not be graded than `max_failures` allows.
        """
        results = bounded_map(places, self._grade, self.client.teacher.max_parallel)
        async with aclosing(results):  # type: ignore[type-var]  # declared as an iterator, but a generator
            async for place, grade in results:
                if not isinstance(grade, Grade):
                    raise grade
                self.graded += 1
                if grade.failure is not None:
                    self.failures += 1
                    self._check_failures(grade.failure["reason"])
                yield place, grade

    def frame(self, verdicts: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Return verdicts as a frame with the columns of `schema`."""
        return pl.DataFrame([{name: verdict.get(name) for name in self.schema} for verdict in verdicts], schema=self.schema)

    async def _grade(self, place: _Place) -> Grade:
        document = place[2]
        draw = graded_draw(document)
        ask = StageAsk(self.grader, self.prompts, self.client, draw, sample_number(self.grader, 0))
        try:
            verdict = dict(await self.grader.grade(draw, ask))
        except (TeacherBusy, RequestRefused, UnusableReply) as error:
            return self._ungraded(document["id"], ask, error)
        unknown = verdict.keys() - self.schema.keys()
        if unknown or not isinstance(verdict.get("keep"), bool):
            problem = f"unknown columns {', '.join(sorted(unknown))}" if unknown else "no `keep`"
            raise RunError(f"'{self.grader.name}' returned a verdict with {problem}")
        common = {"id": document["id"], "reply": ask.keys[-1] if ask.keys else None}
        return Grade({**verdict, **common, "reason": None if verdict["keep"] else verdict.get("reason") or "rejected"})

    def _ungraded(self, key: str, ask: StageAsk, error: TeacherBusy | RequestRefused | UnusableReply) -> Grade:
        kind = {TeacherBusy: "no reply", RequestRefused: "refused"}.get(type(error), error.problem.partition(": ")[0])
        keep = self.grader.ungraded == "keep"
        verdict = {
            "id": key,
            "keep": keep,
            "reason": None if keep else f"{UNGRADED}: {kind}",
            "detail": f"{UNGRADED}: {error.problem}",
            "reply": ask.keys[-1] if ask.keys else None,
        }
        failure = {"n": None, "id": key, "reason": f"{UNGRADED}: {error.problem}", "detail": error.hint}
        return Grade(verdict, failure)

    def _check_failures(self, reason: str) -> None:
        total = max(self.total, self.graded)
        if self.failures > math.ceil(self.grader.max_failures * total):
            self.client.stop()
            raise TooManyFailures(
                f"{self.failures} of {total} documents could not be graded, the last one with: {reason}",
                hint="the replies are in the ledger: `textbookgen corpus dropped STAGE` shows reasons; change the prompt, or "
                "raise `max_failures` of the grader",
            )


# -- a grader as a stage


def run_step(context: StepContext, step: GraderStep) -> StepRecord:
    """Write the verdicts of a grader, one part for each part of its input; parts in which documents failed are repeated."""
    if context.session is None:
        raise RunError(f"'{step.use}' has no teacher")
    for file in context.folder.parts(FAILURES):
        context.folder.part(VERDICTS, part_number(file)).unlink(missing_ok=True)
        file.unlink()
    table = context.source()
    ledger = Ledger(context.ledger)
    try:
        grader = prepared_grader(step.stage, context)
        grading = Grading(
            grader,
            step.teacher.use,
            context.session,
            context.prompts,
            ledger,
            offline=context.offline,
            total=table.count(),
        )
        total = grading.total

        def report(reason: str) -> None:
            context.progress(grading.graded, total, "documents", f"retrying: {reason}")

        run_interruptible(_write_parts(context, grading, table), [grading.client], report)
    finally:
        ledger.close()
    usage, folder = grading.client.usage, context.folder
    record = verdict_record(folder, count_rows(folder.parts(VERDICTS)))
    return StepRecord(
        rows_in=record.rows_in,
        rows_out=record.rows_out,
        dropped=record.dropped,
        failures=count_rows(folder.parts(FAILURES)),
        requests=usage.requests,
        tokens=usage.tokens_in + usage.tokens_out,
        cost_usd=usage.cost_usd,
    )


def prepared_grader(grader: Grader, context: StepContext) -> Grader:
    """Return a copy of the grader after `prepare`."""
    prepared = grader.model_copy()
    context.folder.own.mkdir(parents=True, exist_ok=True)
    other = {option: inputs for option, inputs in context.inputs.inputs.items() if option != "from"}
    prepared.prepare(StageInputs(other, context.inputs.folder, context.inputs.resolver, context.inputs.seed))
    return prepared


async def _write_parts(context: StepContext, grading: Grading, table: Table) -> None:
    """Write each part as soon as its last document is graded; requests of several parts are in flight at the same time."""
    sizes = [int(part.scan().select(pl.len()).collect().item()) for part in table.parts]
    waiting = [number for number in range(len(sizes)) if not context.folder.part(VERDICTS, number).exists()]
    done, total = sum(sizes) - sum(sizes[number] for number in waiting), sum(sizes)
    pending: dict[int, dict[int, Grade]] = {}
    for number in waiting:
        if not sizes[number]:
            write_frame(context.folder.part(VERDICTS, number), grading.frame([]))
    async with grading, aclosing(grading.grades(_rows(table, waiting))) as grades:
        async for (number, at, _), grade in grades:
            pending.setdefault(number, {})[at] = grade
            done += 1
            usage = grading.client.usage
            context.progress(done, total, "documents", f"{usage.requests:,} requests, {usage.from_ledger:,} cached replies")
            if len(pending[number]) == sizes[number]:
                _write_part(context, grading, number, pending.pop(number))


def _rows(table: Table, parts: Iterable[int]) -> Iterator[_Place]:
    for number in parts:
        for at, row in enumerate(table.parts[number].read().iter_rows(named=True)):
            yield number, at, row


def _write_part(context: StepContext, grading: Grading, number: int, grades: Mapping[int, Grade]) -> None:
    """Write failures, then verdicts: a part whose verdicts exist is complete."""
    ordered = [grades[at] for at in sorted(grades)]
    failures = [grade.failure for grade in ordered if grade.failure is not None]
    if failures:
        write_frame(context.folder.part(FAILURES, number), pl.DataFrame(failures, schema=FAILURE_SCHEMA))
    write_frame(context.folder.part(VERDICTS, number), grading.frame([grade.verdict for grade in ordered]))
