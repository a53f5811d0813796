"""Ask teachers for an evaluator, which is not asynchronous: batches of requests through the ledger, within the budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Any

from textbookgen.api.errors import RequestRefused, RunError, TeacherBusy, TextbookgenError, UnusableReply
from textbookgen.api.events import StepRecord
from textbookgen.api.teacher import Request
from textbookgen.api.teacher_client import Outcome
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.llm import Client, Usage, bounded_map
from textbookgen.run.workers.context import StepContext
from textbookgen.run.workers.interruptible import supervise
from textbookgen.storage.ledger import Ledger


class AskedTeacher:
    """The client of one teacher during an evaluation (see `textbookgen.api.teacher_client.TeacherClient`)."""

    def __init__(self, label: str, client: Client, context: StepContext, runner: asyncio.Runner) -> None:
        self._label, self._client, self._context, self._runner = label, client, context, runner

    @property
    def label(self) -> str:
        """The label of the teacher in the recipe."""
        return self._label

    @property
    def usage(self) -> Usage:
        """What was sent, received and paid so far."""
        return self._client.usage

    def ask(self, requests: Sequence[Request]) -> list[Outcome]:
        """Send requests and return what became of each, in their order (see `TeacherClient.ask`)."""
        report = lambda reason: self._context.progress(0, None, "requests", f"retrying: {reason}")  # noqa: E731
        outcomes = self._runner.run(supervise(self._ask_all(requests), [self._client], report))
        lost = [outcome for outcome in outcomes if isinstance(outcome, TeacherBusy)]
        if lost:
            count = f"{len(lost):,} of {len(requests):,} requests to '{self._label}'"
            raise RunError(
                f"{count} got no reply; the last: {lost[-1].problem}",
                hint="run the same command again: the replies received are reused",
            )
        return outcomes

    async def _ask_all(self, requests: Sequence[Request]) -> list[Any]:
        outcomes: dict[int, Outcome | TeacherBusy] = {}
        results = bounded_map(range(len(requests)), lambda at: self._complete(requests[at]), self._client.teacher.max_parallel)
        async with aclosing(results):  # type: ignore[type-var]  # declared as an iterator, but a generator
            async for at, outcome in results:
                if isinstance(outcome, TextbookgenError) and not isinstance(
                    outcome, TeacherBusy | RequestRefused | UnusableReply
                ):
                    raise outcome  # an exhausted budget, an invalid key
                outcomes[at] = outcome
                note = f"of '{self._label}': {self.usage.requests:,} requests, {self.usage.from_ledger:,} cached replies"
                self._context.progress(len(outcomes), len(requests), "replies", note)
        return [outcomes[at] for at in range(len(requests))]

    async def _complete(self, request: Request) -> Outcome:
        """Return the reply, or the refusal of this one request; raise what ends the evaluation."""
        try:
            return (await self._client.complete(request)).reply
        except RequestRefused as refusal:
            if self._context.offline:
                raise RunError(refusal.problem, hint=refusal.hint) from refusal
            return refusal


class AskedTeachers:
    """The clients of all teachers that an evaluator asks; use with `with`."""

    def __init__(self, context: StepContext, stage: TeacherEvaluator) -> None:
        self._context, self._stage = context, stage
        self._exit = ExitStack()
        self.clients: dict[str, AskedTeacher] = {}

    def __enter__(self) -> AskedTeachers:
        with ExitStack() as stack:
            ledger = Ledger(self._context.ledger)
            stack.callback(ledger.close)
            runner = stack.enter_context(asyncio.Runner())  # one event loop for all batches, as clients are bound to theirs
            for component in self._context.step.asked:
                session = self._context.asked_sessions[component.label]
                client = Client(
                    session.teacher,
                    component.use,
                    ledger,
                    session=session,
                    max_cost_usd=self._stage.max_cost_usd,
                    offline=self._context.offline,
                )
                runner.run(client.__aenter__())
                stack.callback(partial(_close, runner, client))
                self.clients[component.label] = AskedTeacher(component.label, client, self._context, runner)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit.close()

    def record(self, rows: int) -> StepRecord:
        """Return the record of the step, with what was requested and paid."""
        usages = [client.usage for client in self.clients.values()]
        return StepRecord(
            rows_out=rows,
            requests=sum(usage.requests for usage in usages),
            tokens=sum(usage.tokens_in + usage.tokens_out for usage in usages),
            cost_usd=sum(usage.cost_usd for usage in usages),
        )


def _close(runner: asyncio.Runner, client: Client) -> None:
    runner.run(client.__aexit__(None, None, None))
