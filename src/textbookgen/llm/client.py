"""Client: from a request to a stored reply, by way of the ledger, the budget, the rate limiter and the teacher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import TracebackType

from textbookgen.api.errors import (
    BudgetExceeded,
    RequestRefused,
    TeacherBusy,
    TeacherError,
    TextbookgenError,
    UnusableReply,
    WorkspaceError,
)
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.llm.budget import Budget
from textbookgen.llm.json_schema import json_text, repair_messages, validation_error
from textbookgen.llm.rate_limit import RateLimiter
from textbookgen.llm.reply_checks import checked_reply, max_input_tokens
from textbookgen.llm.retry import MAX_RATE_LIMIT_WAIT, is_rate_limited, may_be_charged, retry_policy
from textbookgen.llm.usage import Usage
from textbookgen.storage.ledger import Ledger, ledger_key, teacher_identity

log = logging.getLogger(__name__)

#: A run stops after this many requests in a row (or `max_parallel`, if more) have failed with all their retries.
MAX_CONSECUTIVE_FAILURES = 10


@dataclass(frozen=True)
class Answer:
    """A reply, its key in the ledger, and whether it was found there instead of being paid for now."""

    key: str
    reply: Reply
    from_ledger: bool


class TeacherSession:
    """What all clients of one teacher share in a run: its rate limiter, its budget, and its requests in flight.

    The teacher is closed when its last client exits.

    Args:
        teacher: the teacher.
        spent_usd: what the run spent on it before, counted against its budget.
    """

    def __init__(self, teacher: Teacher, *, spent_usd: float = 0.0) -> None:
        self.teacher = teacher
        self.rate_limiter = RateLimiter(teacher.max_parallel, teacher.requests_per_minute, teacher.tokens_per_minute)
        self.budget = Budget(teacher.budget_usd, name="budget_usd", spent_usd=spent_usd)
        self.in_flight: dict[str, asyncio.Future[Reply]] = {}
        self.open_clients = 0


@dataclass
class _Commit:
    """A group commit: the replies received in one turn of the event loop are stored in one transaction."""

    done: asyncio.Event = field(default_factory=asyncio.Event)
    error: WorkspaceError | None = None


class Client:
    """Sends the requests of one stage to one teacher. Use with `async with`; `complete` may be awaited concurrently.

    Guarantees:
        - A reply is committed to the ledger before `complete` returns it, and a request counts as in flight until then. A
          run that is killed therefore loses at most the `max_parallel` replies in flight.
        - Requests with equal ledger keys are sent once: later and concurrent ones share the reply.
        - At most `max_parallel` requests of all clients of a session are in flight.
        - A request is sent only if its worst-case cost fits into what is left of the teacher's and the client's budget.

    Args:
        teacher: the teacher.
        use: the name by which recipes select the teacher.
        ledger: where replies are looked up and stored.
        session: the session shared with other clients of the teacher; a new one by default.
        max_cost_usd: a budget for this client alone, besides the teacher's.
        offline: answer from the ledger only.
        sleep: waits between retries; by default a sleep that ends when the client is stopped.
    """

    def __init__(
        self,
        teacher: Teacher,
        use: str,
        ledger: Ledger,
        *,
        session: TeacherSession | None = None,
        max_cost_usd: float | None = None,
        offline: bool = False,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.teacher = teacher
        self.use = use
        self.ledger = ledger
        self.session = session or TeacherSession(teacher)
        self.budget = Budget(max_cost_usd, name="max_cost_usd")
        self.offline = offline
        self.usage = Usage()
        self._identity = teacher_identity(teacher, use)
        self._price = teacher.price()
        self._max_output_tokens = teacher.max_output_tokens()
        self._consecutive_failures = 0
        self._usage_reported = False
        self.waiting = ""  # why requests are being retried; empty once one has succeeded
        self._stopping = asyncio.Event()
        self._sleep = sleep or self._sleep_unless_stopping
        self._next_commit: _Commit | None = None

    async def __aenter__(self) -> Client:
        if not self.offline:
            self._check_budgets()
        self.session.open_clients += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.open_clients -= 1
        if not self.session.open_clients:
            await self.teacher.close()
        await asyncio.to_thread(self.ledger.flush)

    def _check_budgets(self) -> None:
        """Raise TeacherError if there is a budget and the worst-case cost of a request is unknown."""
        limits = [budget.name for budget in (self.budget, self.session.budget) if budget.limit_usd is not None]
        if not limits:
            return
        if self._price is None:
            hint = "set `price_in` and `price_out` of the teacher, in US dollars per million tokens"
            raise TeacherError("cannot enforce the budget: the teacher's price is unknown", place=limits[0], hint=hint)
        if self._max_output_tokens is None and self._price.output:
            hint = "set `max_tokens` of the teacher"
            raise TeacherError("cannot enforce the budget: replies have no maximum length", place=limits[0], hint=hint)

    def key(self, request: Request) -> str:
        """Return the ledger key of a request."""
        return ledger_key(self._identity, request, reads_draw=self.teacher.reads_draw)

    def stop(self) -> None:
        """Send no further request; those in flight complete, and those waiting fail with TeacherError."""
        self._stopping.set()

    async def complete(self, request: Request) -> Answer:
        """Return the reply to a request, from the ledger if it is there, and else from the teacher.

        If the request has a schema, a reply that violates it is returned to the teacher for correction, at most
        `max_repairs` times.

        Raises:
            RequestRefused: this request can never succeed; or, offline, its reply is not in the ledger.
            TeacherBusy: this request failed with all its retries.
            BudgetExceeded: its worst-case cost does not fit into the budget.
            UnusableReply: no reply satisfied the schema.
            TeacherError: no request can succeed (invalid key, too many consecutive failures), or the client is stopping.
            WorkspaceError: the reply could not be stored.
        """
        answer = await self._complete(request)
        if request.schema is None:
            return answer
        conversation = request
        for repairs in range(self.teacher.max_repairs + 1):
            text = json_text(answer.reply.text)
            problem = validation_error(text, request.schema)
            if not problem:
                return replace(answer, reply=replace(answer.reply, text=text))
            if answer.reply.finish == "length":
                raise UnusableReply("the JSON reply was truncated at the token limit", hint="raise the teacher's `max_tokens`")
            if repairs < self.teacher.max_repairs:
                self.usage.repairs += 1
                messages = (*conversation.messages, *repair_messages(answer.reply.text, problem))
                conversation = replace(conversation, messages=messages)
                answer = await self._complete(conversation)
        raise UnusableReply(f"the reply violates its JSON schema: {problem}")

    async def _complete(self, request: Request) -> Answer:
        """Return the reply from an equal request in flight, from the ledger, or from the teacher."""
        key = self.key(request)
        in_flight = self.session.in_flight
        while (other := in_flight.get(key)) is not None:
            await asyncio.wait((other,))
            if not other.cancelled() and (error := other.exception()):
                raise error
        reply = self.ledger.get(key)
        if reply is not None:
            self.usage.add_from_ledger(reply)
            return Answer(key, reply, from_ledger=True)
        if self.offline:
            raise RequestRefused("offline: the ledger has no reply to this request", hint="run once without `--offline`")
        in_flight[key] = own = asyncio.get_running_loop().create_future()
        try:
            reply = await self._send_until_final(key, request)
        except TextbookgenError as error:
            own.set_exception(error)
            own.exception()  # marks it as retrieved: no other request may be waiting for it
            raise
        finally:
            del in_flight[key]
            own.cancel()
        return Answer(key, reply, from_ledger=False)

    async def _send_until_final(self, key: str, request: Request) -> Reply:
        """Send a request, with retries, until there is a reply or a final error."""
        try:
            try:
                return await self._send(key, request)
            except TeacherBusy as busy:
                return await self._retry(key, request, busy)
        except RequestRefused:
            self.usage.refused += 1
            raise
        except BudgetExceeded:
            raise
        except TeacherBusy as busy:
            raise self._final_error(busy) from busy
        except TeacherError:
            self.stop()  # an invalid key or an unknown model fails every request
            raise

    def _final_error(self, busy: TeacherBusy) -> TeacherError:
        """Return the error of one request; or, after too many consecutive ones, a TeacherError that ends the run."""
        self._consecutive_failures += 1
        if self._consecutive_failures < max(MAX_CONSECUTIVE_FAILURES, self.teacher.max_parallel):
            attempts = f"{self.teacher.max_retries + 1} attempts" if self.teacher.max_retries else "1 attempt"
            effort = f"{MAX_RATE_LIMIT_WAIT / 60:g} minutes of rate limiting" if is_rate_limited(busy) else attempts
            problem = f"gave up after {effort}: {busy.problem}"
            return TeacherBusy(problem, retry_after=busy.retry_after, place=busy.place, hint=busy.hint)
        self.stop()
        hint = busy.hint or "once the teacher is available again, run the same command: received replies are reused"
        return TeacherError(f"{self._consecutive_failures} consecutive requests failed; the last: {busy.problem}", hint=hint)

    async def _retry(self, key: str, request: Request, busy: TeacherBusy) -> Reply:
        """Apply the retry policy after a first failure. Requests that succeed at once are spared the policy's overhead."""
        failures = [busy]

        async def send() -> Reply:
            if failures:
                raise failures.pop()
            return await self._send(key, request)

        return await retry_policy(self.teacher.max_retries, self._count_retry, self._sleep)(send)

    def _count_retry(self, busy: TeacherBusy) -> None:
        self.usage.retries += 1
        wait = f", retry in {busy.retry_after:.0f} s" if busy.retry_after else ""
        self.waiting = f"{busy.problem}{wait} ({self.usage.retries:,} retries)"
        log.debug("retrying a request to %s: %s", self.use, busy.problem)

    async def _sleep_unless_stopping(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            pass

    def _raise_if_stopping(self) -> None:
        if self._stopping.is_set():
            raise TeacherError("not sent: the run is stopping")

    async def _send(self, key: str, request: Request) -> Reply:
        """Send a request once, with its worst-case cost reserved in both budgets meanwhile."""
        self._raise_if_stopping()
        input_tokens, output_tokens = max_input_tokens(request), self._max_output_tokens or 0
        worst_case = self._price.cost(input_tokens, output_tokens) if self._price else 0.0
        cost = 0.0
        own = await self.budget.reserve(worst_case)
        try:
            shared = await self.session.budget.reserve(worst_case)
            try:
                reply = await self._send_within_limits(key, request, input_tokens + output_tokens)
                cost = reply.cost_usd
            except TeacherBusy as busy:
                cost = worst_case if may_be_charged(busy) else 0.0
                self.usage.lost_usd += cost
                raise
            finally:
                self.session.budget.settle(shared, cost)
        finally:
            self.budget.settle(own, cost)
        return reply

    async def _send_within_limits(self, key: str, request: Request, max_tokens: int) -> Reply:
        """Send a request when the rate limiter admits it; its slot is held until the reply is committed."""
        rate_limiter = self.session.rate_limiter
        acquired = await rate_limiter.acquire(self, max_tokens)
        used, rejected = 0, False
        try:
            self._raise_if_stopping()
            self.usage.requests += 1
            reply = await self._call_teacher(request)
            used = reply.tokens_in + reply.tokens_out
            self.usage.add_received(reply)
            self._consecutive_failures = 0
            self.waiting = ""
            await self._store(key, request, reply)
        except TeacherBusy as busy:
            rejected = is_rate_limited(busy)
            self.usage.rate_limited += rejected
            raise
        finally:
            rate_limiter.release(acquired, used, rejected=rejected)
        return reply

    async def _call_teacher(self, request: Request) -> Reply:
        try:
            async with asyncio.timeout(self.teacher.timeout):
                received = await self.teacher.complete(request)
        except TimeoutError as error:
            hint = "raise the teacher's `timeout` if replies take longer"
            raise TeacherBusy(f"no reply within {self.teacher.timeout or 0:g} seconds", hint=hint) from error
        except TextbookgenError as error:
            mask = self.teacher.mask_secrets
            error.diagnostics = tuple(
                replace(item, place=mask(item.place), problem=mask(item.problem), hint=mask(item.hint))
                for item in error.diagnostics
            )
            raise
        reply, problems = checked_reply(received, request, self._price, self.use)
        if problems and not self._usage_reported:
            self._usage_reported = True
            log.warning("%s reports impossible usage (%s); such replies are counted at one token a byte", self.use, problems)
        return reply

    async def _store(self, key: str, request: Request, reply: Reply) -> None:
        """Put a reply into the ledger, and return once it is committed along with others of this event loop turn."""
        self.ledger.put(key, request, reply, self._identity)
        commit = self._next_commit
        if commit is None:
            self._next_commit = commit = _Commit()
            asyncio.get_running_loop().call_soon(self._flush, commit)
        await commit.done.wait()
        if commit.error is not None:
            raise commit.error

    def _flush(self, commit: _Commit) -> None:
        self._next_commit = None
        try:
            self.ledger.flush()
        except WorkspaceError as error:  # such as a full disk: raised in each request that waits for this commit
            commit.error = error
            self.stop()  # what cannot be stored must not be paid for
        commit.done.set()
