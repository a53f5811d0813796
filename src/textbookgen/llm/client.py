"""Asking: from a request to its reply, by way of the ledger, the purse, the gate and the teacher, many at once.

A request keeps its place at the gate until its reply is written. So a run that is killed has lost at most as many
replies as were under way, and an answer that a caller has seen is in the ledger.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from types import TracebackType

from textbookgen.api.errors import BudgetExceeded, RequestRefused, TeacherBusy, TeacherError, UnusableReply, WorkspaceError
from textbookgen.api.teacher import Reply, Request, Teacher
from textbookgen.llm.budget import Budget
from textbookgen.llm.json_schema import bare, diagnostic, repair
from textbookgen.llm.rate_limit import RateLimiter
from textbookgen.llm.retry import RETRIES, may_have_cost, patience, turned_away
from textbookgen.storage.ledger import Ledger, canonical, identity, key_of

log = logging.getLogger(__name__)

#: A reply that does not satisfy its schema is sent back so many times, unless the teacher has an option `repairs`.
REPAIRS = 2
#: So many requests in a row (or `max_parallel`, if that is more) that found no reply, each after all its retries, mean that
#: the teacher is gone.
GONE = 10
#: Tokens that the form of a conversation adds to its words, at most: for each message, and once.
_AROUND_MESSAGE, _AROUND_ALL = 16, 64


@dataclass(frozen=True)
class Answer:
    """A reply, its key in the ledger, and whether it was paid for just now."""

    key: str
    reply: Reply
    paid: bool


@dataclass
class Usage:
    """What asking came to so far: tokens and money of replies paid for just now, not of those from the ledger.

    `lost_usd` is for requests whose replies never came though the teacher may charge for them, at their worst. What is
    `saved` was paid once, for replies that now came from the ledger.
    """

    requests: int = 0
    replies: int = 0
    from_ledger: int = 0
    retries: int = 0
    turned_away: int = 0
    refused: int = 0
    truncated: int = 0
    repairs: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    tokens_reasoning: int = 0
    cost_usd: float = 0.0
    lost_usd: float = 0.0
    saved_tokens_in: int = 0
    saved_tokens_out: int = 0
    saved_usd: float = 0.0

    def add(self, reply: Reply) -> None:
        """Counts a reply that came just now."""
        self.replies += 1
        self.truncated += reply.finish == "length"
        self.tokens_in += reply.tokens_in
        self.tokens_cached += reply.tokens_cached
        self.tokens_out += reply.tokens_out
        self.tokens_reasoning += reply.tokens_reasoning
        self.cost_usd += reply.cost_usd

    def add_again(self, reply: Reply) -> None:
        """Counts a reply that the ledger had."""
        self.from_ledger += 1
        self.saved_tokens_in += reply.tokens_in
        self.saved_tokens_out += reply.tokens_out
        self.saved_usd += reply.cost_usd


class TeacherSession:
    """What everyone who asks one teacher in a run shares: its gate, its purse, and the requests under way.

    The teacher is closed when the last of them has left.
    """

    def __init__(self, teacher: Teacher, *, spent_usd: float = 0.0) -> None:
        self.teacher = teacher
        self.rate_limiter = RateLimiter(teacher.max_parallel, teacher.requests_per_minute, teacher.tokens_per_minute)
        self.budget = Budget(teacher.budget_usd, name="budget_usd", spent_usd=spent_usd)
        self.under_way: dict[str, asyncio.Future[Reply]] = {}
        self.askers = 0


def max_input_tokens(request: Request) -> int:
    """More tokens than a prompt can have: no vocabulary in use has tokens of less than a byte."""
    words = sum(len(turn.content.encode("utf-8", "replace")) + _AROUND_MESSAGE for turn in request.messages)
    return words + _AROUND_ALL + (2 * len(canonical(request.schema)) if request.schema else 0)


class Client:
    """One stage asking one teacher. Used as `async with`; `answer` may be awaited any number of times at once."""

    def __init__(
        self,
        teacher: Teacher,
        use: str,
        ledger: Ledger,
        *,
        session: TeacherSession | None = None,
        max_cost_usd: float | None = None,
        offline: bool = False,
    ) -> None:
        self.teacher = teacher
        self.use = use
        self.ledger = ledger
        self.session = session or TeacherSession(teacher)
        self.budget = Budget(max_cost_usd, name="max_cost_usd")
        self.offline = offline
        self.usage = Usage()
        self._who = identity(teacher, use)
        self._reads_draw = bool(getattr(teacher, "reads_draw", False))
        self._retries = int(getattr(teacher, "retries", RETRIES))
        self._repairs = int(getattr(teacher, "repairs", REPAIRS))
        self._time_limit: float | None = getattr(teacher, "time_limit", None)
        self._price = teacher.price()
        self._most_out = teacher.max_output_tokens()
        self._in_vain = 0
        self._stopping = asyncio.Event()
        self._unwritten: WorkspaceError | None = None
        self._kept: asyncio.Event | None = None

    async def __aenter__(self) -> Client:
        if not self.offline:
            self._know_the_worst()
        self.session.askers += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.askers -= 1
        if not self.session.askers:
            await self.teacher.close()
        await asyncio.to_thread(self.ledger.flush)

    def _know_the_worst(self) -> None:
        capped = [budget.name for budget in (self.budget, self.session.budget) if budget.limit_usd is not None]
        if not capped:
            return
        if self._price is None:
            hint = "give the teacher's price in the recipe (`price_in` and `price_out`, in US dollars for a million tokens)"
            raise TeacherError("the price of this teacher is not known, so no budget can be kept", place=capped[0], hint=hint)
        if self._most_out is None and self._price.output:
            hint = "set the teacher's `max_tokens`"
            raise TeacherError("nothing bounds the length of a reply, so no budget can be kept", place=capped[0], hint=hint)

    def key(self, request: Request) -> str:
        """The key under which the ledger keeps the reply to this request."""
        return key_of(self._who, request, reads_draw=self._reads_draw)

    def stop(self) -> None:
        """Lets requests under way finish, but sends no more; who waits to be sent is refused with TeacherError."""
        self._stopping.set()

    async def answer(self, request: Request) -> Answer:
        """The reply to a request: from the ledger if it was ever given, and else from the teacher.

        With a schema, a reply that does not satisfy it is sent back with the complaint at most `repairs` times.

        Raises:
            RequestRefused: asking again would not help; or, offline, the ledger has no reply.
            TeacherBusy: there was no reply to this one, after all retries; later there may be.
            BudgetExceeded: it could cost more than is left.
            UnusableReply: no reply satisfied the schema.
            TeacherError: the teacher cannot be asked at all: the key is wrong, or nobody has answered for long.
        """
        answer = await self._one(request)
        if request.schema is None:
            return answer
        talk = request
        for repairs in range(self._repairs + 1):
            text = bare(answer.reply.text)
            problem = diagnostic(text, request.schema)
            if not problem:
                return replace(answer, reply=replace(answer.reply, text=text))
            if answer.reply.finish == "length":
                problem = "it was cut off at the most tokens that a reply may have"
                break
            if repairs < self._repairs:
                self.usage.repairs += 1
                talk = replace(talk, messages=(*talk.messages, *repair(answer.reply.text, problem)))
                answer = await self._one(talk)
        raise UnusableReply(f"the reply does not satisfy its schema: {problem}")

    async def _one(self, request: Request) -> Answer:
        key = self.key(request)
        under_way = self.session.under_way
        while True:
            reply = self.ledger.get(key)
            if reply is not None:
                self.usage.add_again(reply)
                return Answer(key, reply, paid=False)
            other = under_way.get(key)
            if other is None:
                break
            await asyncio.wait((other,))
            if not other.cancelled() and (error := other.exception()):
                raise error
        if self.offline:
            raise RequestRefused("the ledger has no reply to this, and no teacher is asked offline")
        under_way[key] = mine = asyncio.get_running_loop().create_future()
        try:
            reply = await self._pay(key, request)
        except TeacherError as error:
            mine.set_exception(error)
            mine.exception()  # nobody else may be waiting for it
            raise
        finally:
            del under_way[key]
            mine.cancel()
        return Answer(key, reply, paid=True)

    async def _pay(self, key: str, request: Request) -> Reply:
        """Sends a request until there is a reply, or no more hope of one."""
        try:
            try:
                return await self._send(key, request)
            except TeacherBusy as busy:
                return await self._send_again(key, request, busy)
        except RequestRefused:
            self.usage.refused += 1
            raise
        except BudgetExceeded:
            raise
        except TeacherBusy as busy:
            raise self._gave_up(busy) from busy
        except TeacherError:
            self.stop()  # what is said to one request is said to all
            raise

    def _gave_up(self, busy: TeacherBusy) -> TeacherError:
        """The error for one request without reply; or, once there were too many of these in a row, for the whole teacher."""
        self._in_vain += 1
        if self._in_vain < max(GONE, self.teacher.max_parallel):
            return TeacherBusy(
                f"no reply after several tries: {busy.problem}", retry_after=busy.retry_after, place=busy.place, hint=busy.hint
            )
        self.stop()
        hint = busy.hint or "run the recipe again once it is back: what was answered is in the ledger"
        return TeacherError(f"the teacher has not answered the last {self._in_vain} requests: {busy.problem}", hint=hint)

    async def _send_again(self, key: str, request: Request, busy: TeacherBusy) -> Reply:
        """What follows a first failure. Most requests know none, and are spared the cost of being ready for it."""
        failures = [busy]

        async def send() -> Reply:
            if failures:
                raise failures.pop()
            return await self._send(key, request)

        return await patience(self._retries, self._told, self._rest)(send)

    def _told(self, busy: TeacherBusy) -> None:
        self.usage.retries += 1
        log.debug("%s is asked again: %s", self.use, busy.problem)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            pass

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise TeacherError("the run is stopping, so this was not asked")

    async def _send(self, key: str, request: Request) -> Reply:
        """Sends a request once, with what it can cost at worst set aside meanwhile."""
        self._go_on()
        read = max_input_tokens(request)
        worst = self._price.cost(read, self._most_out or 0) if self._price else 0.0
        cost = 0.0
        own = await self.budget.reserve(worst)
        try:
            shared = await self.session.budget.reserve(worst)
            try:
                reply = await self._pass_gate(key, request, read + (self._most_out or 0))
                cost = reply.cost_usd
            except TeacherBusy as busy:
                cost = worst if may_have_cost(busy) else 0.0
                self.usage.lost_usd += cost
                raise
            finally:
                self.session.budget.settle(shared, cost)
        finally:
            self.budget.settle(own, cost)
        return reply

    async def _pass_gate(self, key: str, request: Request, most_tokens: int) -> Reply:
        """Asks the teacher when there is room, and makes room again once the reply is written."""
        rate_limiter = self.session.rate_limiter
        expected = await rate_limiter.enter(self, most_tokens)
        took, away = 0, False
        try:
            self._go_on()
            self.usage.requests += 1
            reply = await self._complete(request)
            took = reply.tokens_in + reply.tokens_out
            self.usage.add(reply)
            self._in_vain = 0
            await self._keep(key, request, reply)
        except TeacherBusy as busy:
            away = turned_away(busy)
            self.usage.turned_away += away
            raise
        finally:
            rate_limiter.leave(expected, took, turned_away=away)
        return reply

    async def _complete(self, request: Request) -> Reply:
        try:
            async with asyncio.timeout(self._time_limit):
                reply = await self.teacher.complete(request)
        except TimeoutError as error:
            raise TeacherBusy(
                f"no reply within {self._time_limit or 0:g} seconds", hint="raise `time_limit` if it needs longer"
            ) from error
        return reply

    async def _keep(self, key: str, request: Request, reply: Reply) -> None:
        """Returns once the reply is written, with all others that came in at the same moment."""
        self.ledger.put(key, request, reply, self._who)
        if self._kept is None:
            self._kept = asyncio.Event()
            asyncio.get_running_loop().call_soon(self._write, self._kept)
        await self._kept.wait()
        if self._unwritten is not None:
            raise self._unwritten

    def _write(self, kept: asyncio.Event) -> None:
        self._kept = None
        try:
            self.ledger.flush()
        except WorkspaceError as error:  # a disk that is full: raised where the replies are waited for
            self._unwritten = error
        kept.set()
