"""How a Generator is worked: draws, asks through the ledger, and writes what was accepted, part by part.

Document n is a pure function of the recipe and n, and a part is a run of n; so a part that is missing can be made again
at any time with the same bytes, and its replies come from the ledger. Where it is known beforehand how many draws there
will be, requests flow across the seams of parts; where it depends on what is accepted, or the sampler looks at what was
written, parts are worked one after the other.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Table
from textbookgen.api.errors import RequestRefused, RunError, TeacherBusy, UnusableReply
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_frame
from textbookgen.api.hashing import document_id
from textbookgen.api.stage import Generator
from textbookgen.llm import Client, Usage, bounded_map
from textbookgen.run.workers.accept import Acceptance
from textbookgen.run.workers.ask import GeneratorAsk, drawn, sample_of, seed_of
from textbookgen.run.workers.context import PART_ROWS, StepContext, signed, verdict_record
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import DATA, FAILURES, VERDICTS

_FAILURES = {"n": pl.Int64(), "id": pl.String(), "reason": pl.String(), "detail": pl.String()}
#: The reason of documents that pleased all judges, after as many as were wanted had.


class TooManyFailures(RunError):
    """More documents failed than the stage allows."""


def work(context: StepContext) -> StepRecord:
    """Writes until enough is accepted, or there is nothing more to draw."""
    stage = context.step.stage
    if not isinstance(stage, Generator) or context.step.teacher is None:
        raise RunError(f"'{context.step.use}' is no generator")
    _forget_failures(context)
    context = _with_sampler_prepared(context)
    ledger = Ledger(context.ledger)
    try:
        return asyncio.run(_Writing(context, stage, ledger).work())
    finally:
        ledger.close()


def _with_sampler_prepared(context: StepContext) -> StepContext:
    """The bench with a sampler of its own that has read what it draws from."""
    sampler = context.step.sampler
    if sampler is None or not sampler.options.reads():
        return context
    options = sampler.options.model_copy(deep=True)
    options.prepare(context.inputs.by_label("sampler"), context.folder.own)
    return replace(context, step=replace(context.step, sampler=replace(sampler, options=options)))


def _forget_failures(context: StepContext) -> None:
    """Parts of an earlier, unfinished run in which documents failed are worked again: only those are asked anew.

    Where what is drawn or counts depends on the parts before, so are all after them; their replies are in the ledger.
    """
    assert isinstance(context.step.stage, Generator)
    acceptance = Acceptance(context, context.step.stage)
    in_order = acceptance.remembers or acceptance.looks or (acceptance.decides and not context.step.stage.inputs)
    failed = [file.name for file in context.folder.parts(FAILURES) if len(pl.read_parquet(file))]
    if failed and in_order:
        failed = [name for name in (file.name for file in context.folder.parts(DATA)) if name >= min(failed)] + failed
    for name in failed:
        for kind in (DATA, VERDICTS, FAILURES):
            context.folder.folder.joinpath(kind, name).unlink(missing_ok=True)


@dataclass
class _Written:
    """What came of one draw."""

    n: int
    rows: list[dict[str, Any]]
    failure: dict[str, Any] | None = None


class _Writing:
    """One step's writing, from the first draw to the last part."""

    def __init__(self, context: StepContext, stage: Generator, ledger: Ledger) -> None:
        self.context, self.stage, self.ledger = context, stage, ledger
        self.sampler = context.step.sampler.options if context.step.sampler else None
        self.seed = seed_of(context.step)
        self.acceptance = Acceptance(context, stage)
        self.drawn, self.failed = 0, 0
        self._began: tuple[int, float, float] | None = None  # documents there, moment and dollars spent when first told

    async def work(self) -> StepRecord:
        context = self.context
        teacher = context.step.teacher
        assert teacher is not None
        asked = Client(
            teacher.options,
            teacher.use,
            self.ledger,
            session=context.session,
            max_cost_usd=self.stage.max_cost_usd,
            offline=context.offline,
        )
        async with asked as client:
            self.client = client
            if self.stage.inputs:
                across = self._across_parts_in_order if self.acceptance.remembers else self._across_parts
                await across(self._documents(), self._chosen())
            elif self.acceptance.decides or self.acceptance.looks:
                await self._one_by_one()
            else:
                await self._across_parts(self._draws(0, self.count), self.count)
            usage = client.usage
        return self._record(usage)

    @property
    def count(self) -> int:
        return self.stage.count or 0

    @property
    def accepted(self) -> int:
        return self.acceptance.accepted

    # -- what is drawn

    def _drawn(self, n: int) -> dict[str, Any]:
        return drawn(self.context.step, self.seed, n, self.acceptance.stats)

    def _draws(self, first: int, beyond: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for n in range(first, beyond):
            yield n, self._drawn(n)

    def _documents(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each document of the source (or an even sample of them) with what was drawn for it."""
        table, n = self.context.source(), 0
        chosen = self._sample(table)
        for frame in table.frames():
            for row in frame.iter_rows(named=True):
                if chosen is None or row["id"] in chosen:
                    yield n, {**self._drawn(n), "document": row}
                    n += 1

    def _sample(self, table: Table) -> set[str] | None:
        """The ids of the documents to ask about: those of smallest hash, so that a larger sample holds a smaller one."""
        if self.stage.sample is None:
            return None
        order = f"{self.seed}/sample"
        ids = pl.concat([frame["id"] for frame in table.frames(["id"])]).to_list()
        return set(sorted(ids, key=lambda each: document_id(order, each))[: self.stage.sample])

    def _chosen(self) -> int:
        total = self.context.source().count()
        return total if self.stage.sample is None else min(total, self.stage.sample)

    # -- how it is written

    async def _across_parts(self, items: Iterable[tuple[int, dict[str, Any]]], total: int) -> None:
        """Requests flow over the seams of parts; a part is written once its last document came."""
        waiting: dict[int, dict[int, _Written]] = {}
        there = {int(file.stem.split("-")[1]) for file in self.context.folder.parts(DATA)}
        todo = ((n, draw) for n, draw in items if n // PART_ROWS not in there)
        self.drawn = min(total, len(there) * PART_ROWS)
        async for written in self._many(todo):
            part = written.n // PART_ROWS
            waiting.setdefault(part, {})[written.n] = written
            self.drawn += 1
            self._tell(self.drawn, total)
            if len(waiting[part]) == min(PART_ROWS, total - part * PART_ROWS):
                self._finish_part(part, waiting.pop(part))

    async def _across_parts_in_order(self, items: Iterable[tuple[int, dict[str, Any]]], total: int) -> None:
        """The same, for judges that remember what was accepted: a part is judged when all before it were."""
        waiting: dict[int, dict[int, _Written]] = {}
        todo = ((n, draw) for n, draw in items if not self.context.folder.part(DATA, n // PART_ROWS).exists())
        part = self._count_parts_there(0)
        self.drawn = min(total, len(self.context.folder.parts(DATA)) * PART_ROWS)
        async for written in self._many(todo):
            waiting.setdefault(written.n // PART_ROWS, {})[written.n] = written
            self.drawn += 1
            self._tell(self.drawn, total)
            while len(waiting.get(part, ())) == min(PART_ROWS, total - part * PART_ROWS) > 0:
                self._finish_part(part, waiting.pop(part))
                part = self._count_parts_there(part)

    def _count_parts_there(self, part: int) -> int:
        """Counts parts that are on disk, from this one on; returns the first that is not."""
        while self.context.folder.part(DATA, part).exists():
            self.acceptance.count(part)
            part += 1
        return part

    async def _one_by_one(self) -> None:
        """Parts one after the other: how many are drawn depends on how many were accepted before."""
        most, part = self.stage.max_draws or 20 * self.count, 0
        while self.accepted < self.count and self.drawn < most:
            size = self._size(most)
            if not self.context.folder.part(DATA, part).exists():
                written = {each.n: each async for each in self._many(self._draws(self.drawn, self.drawn + size))}
                self._finish_part(part, written)
            self.acceptance.count(part)
            self.drawn += size
            part += 1
            self._tell(self.accepted, self.count)

    def _size(self, most: int) -> int:
        """How many to draw next: what is missing at the rate of acceptance so far, less what luck may add to it.

        So the last rounds draw hardly more than is needed. The same for the same parts on disk.
        """
        rate = max(self.accepted / self.drawn if self.drawn and self.accepted else 1.0, 0.05)
        missing = self.count - self.accepted
        wanted = max(missing, math.ceil((missing - 1.5 * math.sqrt(missing * (1 - rate))) / rate))
        small = PART_ROWS // 4 if self.acceptance.looks else PART_ROWS
        return max(1, min(wanted, small, most - self.drawn))

    async def _many(self, items: Iterable[tuple[int, dict[str, Any]]]) -> AsyncGenerator[_Written, None]:
        assert self.context.step.teacher is not None
        parallel = self.context.step.teacher.options.max_parallel
        works = bounded_map(items, self._write, parallel)
        async with aclosing(works):  # type: ignore[type-var]  # an async generator, by its definition
            async for _, written in works:
                if not isinstance(written, _Written):
                    raise written
                if written.failure is not None:
                    self.failed += 1
                    self._stop_at(self.failed, written.failure["reason"])
                yield written

    async def _write(self, item: tuple[int, dict[str, Any]]) -> _Written:
        n, draw = item
        document = draw.get("document")
        ask = GeneratorAsk(self.stage, self.context.prompts, self.client, draw, sample_of(self.stage, n))
        try:
            rows = list(await self.stage.generate(draw, ask))
        except (TeacherBusy, RequestRefused, UnusableReply) as error:
            kind = {TeacherBusy: "no reply", RequestRefused: "refused"}.get(type(error), "unusable")
            source = document["id"] if document else None
            return _Written(n, [], {"n": n, "id": source, "reason": f"{kind}: {error.problem}", "detail": error.hint})
        about = json.dumps({name: value for name, value in draw.items() if name != "document"}, sort_keys=True, default=str)
        key = ask.keys[-1] if ask.keys else None
        if document:
            name = document_id(document["id"], key or self.context.step.address)
        else:
            name = key[:24] if key else document_id(self.context.step.address, n)
        flagged = {"truncated": ask.truncated} if self.stage.truncated_replies == "keep" else {}
        rows = [flagged | row for row in rows]
        return _Written(
            n, [self._row(row, f"{name}-{at}" if at else name, key, about, document) for at, row in enumerate(rows)]
        )

    def _row(
        self, row: dict[str, Any], name: str, key: str | None, draw: str, document: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        parents = [document["id"]] if document else []
        return {"id": name, "kind": self.stage.kind, "parents": parents, "reply": key, "draw": draw, **row}

    # -- a part

    def _finish_part(self, part: int, written: Mapping[int, _Written]) -> None:
        """Writes failures, then verdicts, then the data: a part whose data is there is whole."""
        ordered = [written[n] for n in sorted(written)]
        failures = [each.failure for each in ordered if each.failure]
        rows = self._frame([row for each in ordered for row in each.rows])
        if failures:
            write_frame(self.context.folder.part(FAILURES, part), pl.DataFrame(failures, schema=_FAILURES))
        if self.acceptance.decides:
            write_frame(self.context.folder.part(VERDICTS, part), self.acceptance.verdicts(rows))
        write_frame(self.context.folder.part(DATA, part), rows)

    def _frame(self, rows: list[dict[str, Any]]) -> pl.DataFrame:
        output = self.context.step.output
        assert issubclass(output, Table)
        schema = output.schema()
        frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None) if rows else pl.DataFrame(schema=schema)
        missing = output.content.keys() - set(frame.columns)
        if missing:
            raise RunError(f"'{self.context.step.use}' gave rows without {', '.join(sorted(missing))}")
        return signed(frame, self.context.step.address, self.stage.kind)

    # -- what is told

    def _tell(self, done: int, total: int) -> None:
        usage, now = self.client.usage, time.monotonic()
        if self._began is None:
            self._began = (done, now, usage.cost_usd)
        before, began, cost = self._began
        rest = (total - done) / (done - before) if done > before else 0.0
        parts = [f"{usage.requests:,} asked, {usage.from_ledger:,} from the ledger"]
        if usage.cost_usd:
            parts.append(f"${usage.cost_usd:,.2f} so far, about ${(usage.cost_usd - cost) * rest:,.2f} to come")
        if (now - began) * rest >= 1:
            parts.append(f"about {timedelta(seconds=round((now - began) * rest))} to come")
        if self.failed:
            parts.append(f"{self.failed} failed")
        self.context.progress(done, total, "documents", ", ".join(parts))

    def _stop_at(self, failed: int, reason: str) -> None:
        """Stops once so many failed that the share cannot be kept any more."""
        total = self._wanted
        if failed > math.ceil(self.stage.max_failures * total):
            self.client.stop()
            raise TooManyFailures(
                f"{failed} documents failed, of {total}; the last: {reason}",
                hint="the step's `failures` say why; the same command asks only those again; `max_failures` allows more",
            )

    @cached_property
    def _wanted(self) -> int:
        return self._chosen() if self.stage.inputs else self.count

    def _record(self, usage: Usage) -> StepRecord:
        folder = self.context.folder
        files = folder.parts(DATA)
        rows = sum(len(pl.read_parquet(file, columns=["id"])) for file in files)
        judged = verdict_record(folder, rows)
        notes: tuple[str, ...] = ()
        if self.acceptance.decides and not self.stage.inputs and judged.rows_out < self.count:
            notes = (f"{judged.rows_out:,} of {self.count:,} were accepted after {self.drawn:,} draws, the most allowed",)
        return StepRecord(
            rows_in=self._wanted if self.stage.inputs else rows,
            rows_out=judged.rows_out if self.acceptance.decides else rows,
            dropped=judged.dropped,
            failures=sum(len(pl.read_parquet(file)) for file in folder.parts(FAILURES)),
            requests=usage.requests,
            tokens=usage.tokens_in + usage.tokens_out,
            cost_usd=usage.cost_usd,
            notes=(*notes, *self.acceptance.notes()),
        )
