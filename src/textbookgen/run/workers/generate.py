"""Run a Generator: draw variables, send requests through the ledger, and write the documents part by part.

Document n is a pure function of the recipe and n, and a part is a range of n. A missing part can therefore be written again
at any time with the same bytes, from replies in the ledger. Where the number of draws is known beforehand, requests of
several parts are in flight at the same time. Where it depends on what is accepted, or the sampler adapts to it, parts are
written one after the other.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Table
from textbookgen.api.errors import RequestRefused, RunError, TeacherBusy, TextbookgenError, UnusableReply
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.hashing import document_id
from textbookgen.llm import Client, Usage, bounded_map
from textbookgen.recipe.plan import GeneratorStep
from textbookgen.run.workers.accept import Acceptance
from textbookgen.run.workers.ask import StageAsk, draw_seed, draw_variables, sample_number
from textbookgen.run.workers.context import PART_ROWS, StepContext, count_rows, verdict_record, with_standard_columns
from textbookgen.run.workers.failures import FAILURE_SCHEMA, TooManyFailures
from textbookgen.run.workers.interruptible import run_interruptible
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import DATA, FAILURES, VERDICTS, part_number

_NO_REPLY = "no reply"  # the beginning of the reason of a request that failed with all its retries
_MAX_DRAWS_PER_DOCUMENT = 20  # the default of `max_draws`, per document of `count`

#: The number of a document and the variables that it is drawn with.
NumberedDraw = tuple[int, dict[str, Any]]


def run_step(context: StepContext, step: GeneratorStep) -> StepRecord:
    """Write documents until enough are accepted, or there is nothing more to draw."""
    _discard_failed_parts(context, step)
    step = _with_prepared_sampler(context, step)
    ledger = Ledger(context.ledger)
    try:
        run = _GeneratorRun(context, step, ledger)
        return run_interruptible(run.run(), run.clients, run.report_waiting)
    finally:
        ledger.close()


def _with_prepared_sampler(context: StepContext, step: GeneratorStep) -> GeneratorStep:
    """Return the step with a copy of its sampler that has read the stages it draws from."""
    if step.sampler is None or not step.sampler.options.reads():
        return step
    sampler = step.sampler.options.model_copy(deep=True)
    sampler.prepare(context.inputs.by_label("sampler"), context.folder.own)
    return replace(step, sampler=replace(step.sampler, options=sampler))


def _discard_failed_parts(context: StepContext, step: GeneratorStep) -> None:
    """Delete the parts of an unfinished run in which documents failed, so that those documents are requested again.

    Where draws or verdicts depend on earlier parts, the later ones are deleted too. All other replies are in the ledger.
    """
    acceptance, folder = Acceptance(context, step), context.folder
    in_order = acceptance.compares or acceptance.needs_stats or (acceptance.rejects and not step.stage.inputs)
    failed = {part_number(file) for file in folder.parts(FAILURES) if count_rows([file])}
    if failed and in_order:
        failed |= {number for file in folder.parts(DATA) if (number := part_number(file)) > min(failed)}
    for number in failed:
        for kind in (DATA, VERDICTS, FAILURES):
            folder.part(kind, number).unlink(missing_ok=True)


def _failure(n: int, source: Mapping[str, Any] | None, error: TextbookgenError) -> dict[str, Any]:
    """Return a row of the failures file."""
    kind = {TeacherBusy: _NO_REPLY, RequestRefused: "refused"}.get(type(error), "unusable")
    return {"n": n, "id": source and source["id"], "reason": f"{kind}: {error.problem}", "detail": error.hint}


@dataclass
class _Document:
    """What one draw gave: its rows, and the failures: of the draw, or of parts of its reply."""

    n: int
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]] = field(default_factory=list)


class _GeneratorRun:
    """One execution of a generator's step, from the first draw to the last part."""

    def __init__(self, context: StepContext, step: GeneratorStep, ledger: Ledger) -> None:
        self.context, self.step, self.stage = context, step, step.stage
        self.seed = draw_seed(step)
        self.acceptance = Acceptance(context, step)
        self.count = self.stage.count or 0
        self.draws = self.completed = self.failures = 0
        self.acceptance.open_graders(ledger, self._documents_requested)
        self._open_failures: dict[int, list[dict[str, Any]]] = {}  # by draw, of parts that are not written yet
        self._first_report: tuple[int, float, float] | None = None  # documents, time and dollars at the first progress report
        self.client = Client(
            step.teacher.options,
            step.teacher.use,
            ledger,
            session=context.session,
            max_cost_usd=self.stage.max_cost_usd,
            offline=context.offline,
        )

    @property
    def clients(self) -> list[Client]:
        """The clients of the generator and of the graders in its `accept`."""
        return [self.client, *(grading.client for grading in self.acceptance.gradings.values())]

    async def run(self) -> StepRecord:
        try:
            return await self._run()
        except BaseException:
            self._write_open_failures()
            raise

    async def _run(self) -> StepRecord:
        async with AsyncExitStack() as clients:
            await clients.enter_async_context(self.client)
            for grading in self.acceptance.gradings.values():
                await clients.enter_async_context(grading)
            if self.stage.inputs and self.acceptance.compares:
                await self._write_parts_in_order(self._document_draws(), self._documents_requested)
            elif self.stage.inputs:
                await self._write_parts(self._document_draws(), self._documents_requested)
            elif self.acceptance.rejects or self.acceptance.needs_stats:
                await self._write_part_after_part()
            else:
                await self._write_parts(self._draws(0, self.count), self.count)
        return self._record([client.usage for client in self.clients])

    # -- draws

    def _variables(self, n: int) -> dict[str, Any]:
        return draw_variables(self.step, self.seed, n, self.acceptance.stats)

    def _draws(self, start: int, end: int) -> Iterator[NumberedDraw]:
        for n in range(start, end):
            yield n, self._variables(n)

    def _document_draws(self) -> Iterator[NumberedDraw]:
        """Yield a draw for each input document, or for each of `sample` documents."""
        table, n = self.context.source(), 0
        sampled = self._sampled_ids(table)
        for frame in table.frames():
            for row in frame.iter_rows(named=True):
                if sampled is None or row["id"] in sampled:
                    yield n, {**self._variables(n), "document": row}
                    n += 1

    def _sampled_ids(self, table: Table) -> set[str] | None:
        """Return the ids of the `sample` documents of smallest hash, so that a larger sample contains a smaller one."""
        if self.stage.sample is None:
            return None
        order = f"{self.seed}/sample"
        ids = pl.concat([frame["id"] for frame in table.frames(["id"])]).to_list()
        return set(sorted(ids, key=lambda item: document_id(order, item))[: self.stage.sample])

    @cached_property
    def _documents_requested(self) -> int:
        """How many documents the step is asked for: `count`, or the number of input documents or of those sampled."""
        if not self.stage.inputs:
            return self.count
        total = self.context.source().count()
        return total if self.stage.sample is None else min(total, self.stage.sample)

    # -- orders of writing

    async def _write_parts(self, draws: Iterable[NumberedDraw], total: int) -> None:
        """Write parts in any order, each as soon as its last document is complete."""
        pending: dict[int, dict[int, _Document]] = {}
        existing = {part_number(file) for file in self.context.folder.parts(DATA)}
        self.draws = min(total, len(existing) * PART_ROWS)
        async for document in self._documents(item for item in draws if item[0] // PART_ROWS not in existing):
            part = document.n // PART_ROWS
            pending.setdefault(part, {})[document.n] = document
            self.draws += 1
            self._report_progress(self.draws, total)
            if len(pending[part]) == min(PART_ROWS, total - part * PART_ROWS):
                await self._write_part(part, pending.pop(part))

    async def _write_parts_in_order(self, draws: Iterable[NumberedDraw], total: int) -> None:
        """Write parts in order, for filters that compare documents with those accepted in earlier parts."""
        pending: dict[int, dict[int, _Document]] = {}
        existing = {part_number(file) for file in self.context.folder.parts(DATA)}
        part = self._count_existing_parts(0)
        self.draws = min(total, len(existing) * PART_ROWS)
        async for document in self._documents(item for item in draws if item[0] // PART_ROWS not in existing):
            pending.setdefault(document.n // PART_ROWS, {})[document.n] = document
            self.draws += 1
            self._report_progress(self.draws, total)
            while len(pending.get(part, ())) == min(PART_ROWS, total - part * PART_ROWS) > 0:
                await self._write_part(part, pending.pop(part))
                part = self._count_existing_parts(part)

    def _count_existing_parts(self, part: int) -> int:
        """Count the documents of existing parts from this one on; return the first part that does not exist."""
        while self.context.folder.part(DATA, part).exists():
            self.acceptance.count(part)
            part += 1
        return part

    async def _write_part_after_part(self) -> None:
        """Draw one part, decide on it, then draw the next: its size depends on how many documents were accepted so far."""
        max_draws, part = self.stage.max_draws or _MAX_DRAWS_PER_DOCUMENT * self.count, 0
        while self.acceptance.accepted < self.count and self.draws < max_draws:
            size = self._next_part_size(max_draws)
            if not self.context.folder.part(DATA, part).exists():
                draws = self._draws(self.draws, self.draws + size)
                await self._write_part(part, {document.n: document async for document in self._documents(draws)})
            self.acceptance.count(part)
            self.draws += size
            part += 1
            self._report_progress(self.acceptance.accepted, self.count)

    def _next_part_size(self, max_draws: int) -> int:
        """Return how many documents to draw next, from the acceptance rate so far; the same for the same parts on disk.

        It is the number that gives the missing documents at this rate, less 1.5 standard deviations, so that the last
        rounds draw few documents in excess.
        """
        accepted, expected = self.acceptance.accepted, self.stage.documents_per_draw()
        rate = max(accepted / self.draws if self.draws and accepted else float(expected), 0.05)
        missing = self.count - accepted
        if rate < 1:
            size = max(missing, math.ceil((missing - 1.5 * math.sqrt(missing * (1 - rate))) / rate))
        else:
            size = math.ceil(missing / rate)
        max_size = (PART_ROWS // 4 if self.acceptance.needs_stats else PART_ROWS) // expected
        return max(1, min(size, max_size, max_draws - self.draws))

    # -- documents

    async def _documents(self, draws: Iterable[NumberedDraw]) -> AsyncGenerator[_Document, None]:
        """Yield the documents of these draws as they complete, in any order.

        Raises:
            TooManyFailures: more documents failed than `max_failures` allows.
        """
        results = bounded_map(draws, self._document, self.step.teacher.options.max_parallel)
        async with aclosing(results):  # type: ignore[type-var]  # declared as an iterator, but a generator
            async for _, document in results:
                if not isinstance(document, _Document):
                    raise document
                self.completed += 1
                if document.failures:
                    self._open_failures[document.n] = document.failures
                if document.failures and not document.rows:
                    self.failures += 1
                    self._check_failures(document.failures[-1])
                yield document

    async def _document(self, item: NumberedDraw) -> _Document:
        n, draw = item
        source = draw.get("document")
        ask = StageAsk(self.stage, self.context.prompts, self.client, draw, sample_number(self.stage, n))
        try:
            written = list(await self.stage.generate(draw, ask))
        except (TeacherBusy, RequestRefused, UnusableReply) as error:
            return _Document(n, [], [_failure(n, source, error)])
        rows = [row for row in written if not isinstance(row, UnusableReply)]
        failures = [_failure(n, source, row) for row in written if isinstance(row, UnusableReply)]
        key = ask.keys[-1] if ask.keys else None
        if source:
            id_ = document_id(source["id"], key or self.step.address)
        else:
            id_ = key[:24] if key else document_id(self.step.address, n)
        variables = {name: value for name, value in draw.items() if name != "document"}
        common: dict[str, Any] = {
            "kind": self.stage.kind,
            "parents": [source["id"]] if source else [],
            "reply": key,
            "draw": json.dumps(variables, sort_keys=True, default=str),
        }
        if self.stage.truncated_replies == "keep":
            common["truncated"] = ask.truncated
        named = [{"id": f"{id_}-{at}" if at else id_, **common, **row} for at, row in enumerate(rows)]
        return _Document(n, named, failures)

    def _check_failures(self, failure: Mapping[str, Any]) -> None:
        """Stop as soon as more documents have failed than allowed, whatever becomes of the others."""
        total, reason = max(self._documents_requested, self.completed), failure["reason"]
        if self.failures > math.ceil(self.stage.max_failures * total):
            self.client.stop()
            if not self.client.usage.replies and reason.startswith(_NO_REPLY):
                hint = failure["detail"] or "check the teacher's address and that its server is running"
                raise TooManyFailures(f"the teacher has not answered any request; {reason}", hint=hint)
            raise TooManyFailures(
                f"{self.failures} of {total} documents failed, the last one with: {reason}",
                hint=f"all reasons are in {self.context.folder.folder / FAILURES}; run the same command to try these documents "
                "again, or raise `max_failures`",
            )

    # -- parts

    async def _write_part(self, part: int, documents: Mapping[int, _Document]) -> None:
        """Write failures, then verdicts, then the data: a part whose data exists is complete."""
        for n in documents:
            self._open_failures.pop(n, None)
        ordered = [documents[n] for n in sorted(documents)]
        failures = [failure for document in ordered for failure in document.failures]
        rows = self._frame([row for document in ordered for row in document.rows])
        verdicts, ungraded = await self.acceptance.verdicts(rows) if self.acceptance.rejects else (None, [])
        if failures or ungraded:
            frame = pl.DataFrame([*failures, *ungraded], schema=FAILURE_SCHEMA)
            write_frame(self.context.folder.part(FAILURES, part), frame)
        if verdicts is not None:
            write_frame(self.context.folder.part(VERDICTS, part), verdicts)
        write_frame(self.context.folder.part(DATA, part), rows)

    def _write_open_failures(self) -> None:
        """Write the failures of parts that are not complete, so that a stopped step says why; the next run deletes them."""
        failures = [failure for n in sorted(self._open_failures) for failure in self._open_failures[n]]
        if failures:
            existing = {part_number(file) for kind in (DATA, FAILURES) for file in self.context.folder.parts(kind)}
            part = next(number for number in range(len(existing) + 1) if number not in existing)
            write_frame(self.context.folder.part(FAILURES, part), pl.DataFrame(failures, schema=FAILURE_SCHEMA))

    def _frame(self, rows: list[dict[str, Any]]) -> pl.DataFrame:
        output = self.step.output
        if not issubclass(output, Table):
            raise RunError(f"the output of '{self.step.use}' must be a table, but is declared as {output.name}")
        schema = output.schema()
        frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None) if rows else pl.DataFrame(schema=schema)
        missing = output.content.keys() - set(frame.columns)
        if missing:
            raise RunError(f"'{self.step.use}' returned rows without {', '.join(sorted(missing))}")
        return with_standard_columns(frame, self.step.address, self.stage.kind)

    # -- progress and record

    def report_waiting(self, reason: str) -> None:
        """Report what is being waited for while no document is completed."""
        done = self.acceptance.accepted if self.acceptance.rejects and not self.stage.inputs else self.draws
        self.context.progress(done, self._documents_requested, "documents", f"retrying: {reason}")

    def _report_progress(self, done: int, total: int) -> None:
        usage, now = self.client.usage, time.monotonic()
        if self._first_report is None:
            self._first_report = (done, now, usage.cost_usd)
        first_done, first_time, first_cost = self._first_report
        remaining = (total - done) / (done - first_done) if done > first_done else 0.0  # as a multiple of what is measured
        notes = [f"{usage.requests:,} requests, {usage.from_ledger:,} cached replies"]
        if usage.cost_usd:
            cost = (usage.cost_usd - first_cost) * remaining
            notes.append(f"${usage.cost_usd:,.2f} spent, about ${cost:,.2f} remaining")
        if (now - first_time) * remaining >= 1:
            notes.append(f"about {timedelta(seconds=round((now - first_time) * remaining))} remaining")
        if self.failures:
            notes.append(f"{self.failures} failed")
        self.context.progress(done, total, "documents", ", ".join(notes))

    def _record(self, usages: Sequence[Usage]) -> StepRecord:
        folder = self.context.folder
        rows = count_rows(folder.parts(DATA))
        accepted = verdict_record(folder, rows)
        notes: tuple[str, ...] = ()
        if self.acceptance.rejects and not self.stage.inputs and accepted.rows_out < self.count:
            notes = (f"{accepted.rows_out:,} of {self.count:,} documents were accepted in {self.draws:,} draws (`max_draws`)",)
        return StepRecord(
            rows_in=self._documents_requested if self.stage.inputs else rows,
            rows_out=accepted.rows_out if self.acceptance.rejects else rows,
            dropped=accepted.dropped,
            failures=count_rows(folder.parts(FAILURES)),
            requests=sum(usage.requests for usage in usages),
            tokens=sum(usage.tokens_in + usage.tokens_out for usage in usages),
            cost_usd=sum(usage.cost_usd for usage in usages),
            notes=(*notes, *self.acceptance.notes()),
        )
