"""Client: replies are paid for once, limits and budgets hold, failures are retried or reported."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import BudgetExceeded, RequestRefused, TeacherBusy, TeacherError, UnusableReply, WorkspaceError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.teachers import FakeTeacher
from textbookgen.llm import Client, TeacherSession, Usage, bounded_map, max_input_tokens
from textbookgen.storage.ledger import Ledger


def request(text: str, **more: Any) -> Request:
    return Request((Message("user", text),), **more)


class ScriptedTeacher(Teacher):
    """Replies as a function says, given the request and how often its text was sent; counts what it received."""

    name = "scripted"
    max_retries: Annotated[int, Runtime] = Field(3, description="retries")

    _script: Callable[[Request, int], Awaitable[Reply] | Reply] = PrivateAttr()
    _attempts: Counter[str] = PrivateAttr(default_factory=Counter)
    _in_flight: int = PrivateAttr(0)
    _max_in_flight: int = PrivateAttr(0)
    _closed: int = PrivateAttr(0)

    @classmethod
    def of(cls, script: Callable[[Request, int], Awaitable[Reply] | Reply], **options: Any) -> ScriptedTeacher:
        teacher = cls(**options)
        teacher._script = script
        return teacher

    async def complete(self, request: Request) -> Reply:
        text = request.messages[-1].content
        self._attempts[text] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            result = self._script(request, self._attempts[text])
            return await result if isinstance(result, Awaitable) else result
        finally:
            self._in_flight -= 1

    async def close(self) -> None:
        self._closed += 1


def echo(request: Request, times: int) -> Reply:
    return Reply(request.messages[-1].content.upper(), 1, 1)


async def after(seconds: float, text: str = "late") -> Reply:
    await asyncio.sleep(seconds)
    return Reply(text, 1, 1)


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def complete_all(
    teacher: Teacher, ledger: Ledger, requests: list[Request], parallel: int = 8, **options: Any
) -> tuple[list[Any], Usage]:
    """Return the replies or errors in the order of the requests, and the usage."""

    async def run() -> tuple[list[Any], Usage]:
        async with Client(teacher, teacher.name, ledger, **options) as client:
            pairs = bounded_map(enumerate(requests), lambda item: client.complete(item[1]), parallel)
            answers = {n: answer async for (n, _), answer in pairs}
            results = [answers[n] for n in range(len(requests))]
            return [item if isinstance(item, Exception) else item.reply.text for item in results], client.usage

    return asyncio.run(run())


# -- each reply is paid for once


def test_equal_requests_are_sent_once(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(lambda request, times: after(0.02, f"{request.sample}"))
    requests = [request("a"), request("a"), request("a", sample=1), request("a")]
    texts, usage = complete_all(teacher, ledger, requests)
    assert texts == ["0", "0", "1", "0"]
    assert (usage.requests, usage.replies, usage.from_ledger) == (2, 2, 2)
    texts, usage = complete_all(teacher, ledger, requests)
    assert texts == ["0", "0", "1", "0"]
    assert (usage.requests, usage.from_ledger, usage.tokens_out) == (0, 4, 0)
    assert teacher._closed == 2


def test_equal_requests_in_flight_share_an_error(ledger: Ledger) -> None:
    async def refuse() -> Reply:
        await asyncio.sleep(0.02)
        raise RequestRefused("no")

    teacher = ScriptedTeacher.of(lambda request, times: refuse())
    texts, usage = complete_all(teacher, ledger, [request("a"), request("a")])
    assert [str(text).strip() for text in texts] == ["no", "no"]
    assert usage.requests == 1


def test_a_reply_is_durable_before_the_caller_sees_it(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with Client(ScriptedTeacher.of(echo), "s", ledger) as client:
            answer = await client.complete(request("a"))
            other = Ledger(ledger.path)
            assert other.get(answer.key) == answer.reply
            other.close()

    asyncio.run(run())


def test_an_equal_request_does_not_see_a_reply_before_it_is_committed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    put, flush, order = ledger.put, ledger.flush, []

    async def complete(client: Client, name: str) -> None:
        await client.complete(request("a"))
        order.append(name)

    async def run() -> None:
        async with Client(ScriptedTeacher.of(echo), "s", ledger) as client:
            tasks: list[asyncio.Task[None]] = []

            def put_and_request_again(*args: Any, **options: Any) -> None:
                put(*args, **options)  # from here on the ledger has the reply in memory; the commit is scheduled after this
                tasks.append(asyncio.create_task(complete(client, "second")))

            monkeypatch.setattr(ledger, "put", put_and_request_again)
            monkeypatch.setattr(ledger, "flush", lambda: (flush(), order.append("commit")))
            await complete(client, "first")
            await asyncio.gather(*tasks)

    asyncio.run(run())
    assert order[0] == "commit"
    assert sorted(order[1:3]) == ["first", "second"]


def test_after_a_failed_commit_nothing_is_sent_and_what_was_received_is_stored_later(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(echo)
    with sqlite3.connect(ledger.path) as other:
        other.execute("ALTER TABLE replies RENAME TO hidden")
        ledger.get = lambda key: None  # type: ignore[method-assign]

    async def run() -> list[Any]:
        async with Client(teacher, "s", ledger) as client:
            texts = [request(text) for text in "aab"]
            results = await asyncio.gather(*map(client.complete, texts), return_exceptions=True)
            with sqlite3.connect(ledger.path) as other:
                other.execute("ALTER TABLE hidden RENAME TO replies")
            return [*results, *await asyncio.gather(client.complete(request("c")), return_exceptions=True)]

    *failed, later = asyncio.run(run())
    other.close()
    assert [type(item) for item in failed] == [WorkspaceError] * 3
    assert isinstance(later, TeacherError) and "not sent" in later.problem
    del ledger.get
    assert sorted(entry.reply.text for entry in ledger.entries()) == ["A", "B"]


def test_offline_replies_come_from_the_ledger_only(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(echo)
    complete_all(teacher, ledger, [request("a")])
    texts, usage = complete_all(teacher, ledger, [request("a"), request("b")], offline=True)
    assert texts[0] == "A"
    assert isinstance(texts[1], RequestRefused)
    assert usage.requests == 0
    assert teacher._attempts["b"] == 0


# -- retries


def test_temporary_failures_are_retried_and_refusals_are_not(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        text = request.messages[0].content
        if text == "refused":
            raise RequestRefused("never")
        if times <= {"once": 1, "thrice": 3, "always": 99}.get(text, 0):
            raise TeacherBusy("not now")
        return echo(request, times)

    teacher = ScriptedTeacher.of(script)
    texts, usage = complete_all(teacher, ledger, [request(text) for text in ("well", "once", "thrice", "always", "refused")])
    assert texts[:3] == ["WELL", "ONCE", "THRICE"]
    assert isinstance(texts[3], TeacherBusy)
    assert isinstance(texts[4], RequestRefused)
    assert dict(teacher._attempts) == {"well": 1, "once": 2, "thrice": 4, "always": 4, "refused": 1}
    assert (usage.requests, usage.retries, usage.refused) == (12, 7, 1)


def test_rate_limit_waits_are_kept_and_use_no_retries(ledger: Ledger) -> None:
    times_asked = []

    def script(request: Request, times: int) -> Reply:
        times_asked.append(time.monotonic())
        if times <= 6:
            raise TeacherBusy("too many", retry_after=0.05)
        return echo(request, times)

    teacher = ScriptedTeacher.of(script)
    start = time.monotonic()
    (text,), usage = complete_all(teacher, ledger, [request("a")])
    assert text == "A"
    assert usage.rate_limited == 6 > teacher.max_retries
    assert all(late - early >= 0.05 for early, late in pairwise(times_asked))
    assert time.monotonic() - start < 2


def test_a_rate_limit_wait_of_a_day_is_not_waited_for(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        raise TeacherBusy("quota", retry_after=86_400)

    (error,), usage = complete_all(ScriptedTeacher.of(script), ledger, [request("a")])
    assert isinstance(error, TeacherError)
    assert usage.requests == 1


def test_a_request_that_hangs_is_retried_after_the_timeout(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(lambda request, times: after(60 if times == 1 else 0), timeout=0.1)
    (text,), usage = complete_all(teacher, ledger, [request("a")])
    assert text == "late"
    assert (usage.requests, usage.retries) == (2, 1)


def test_too_many_consecutive_failures_stop_the_run(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        if request.messages[0].content == "30":
            return echo(request, times)
        raise TeacherBusy("nobody there")

    teacher = ScriptedTeacher.of(script, max_parallel=2, max_retries=0)
    texts, _ = complete_all(teacher, ledger, [request(str(n)) for n in range(25)], parallel=2)
    later, _ = complete_all(teacher, ledger, [request(str(n)) for n in range(22, 40)], parallel=1)
    assert [type(item) for item in texts] == [TeacherBusy] * 9 + [TeacherError] * 16
    assert sum(teacher._attempts[str(n)] for n in range(22)) <= 11
    assert [type(item) for item in later] == [TeacherBusy] * 8 + [str] + [TeacherBusy] * 9


def test_a_bug_in_a_teacher_is_raised(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        complete_all(ScriptedTeacher.of(script), ledger, [request(str(n)) for n in range(20)])


def test_stop_completes_requests_in_flight_and_sends_no_more(ledger: Ledger) -> None:
    async def run() -> None:
        teacher = ScriptedTeacher.of(lambda request, times: after(0.1), max_parallel=1)
        async with Client(teacher, "s", ledger) as client:
            first, second = (asyncio.create_task(client.complete(request(text))) for text in "ab")
            await asyncio.sleep(0.02)
            client.stop()
            assert (await first).reply.text == "late"
            with pytest.raises(TeacherError):
                await second
        assert dict(teacher._attempts) == {"a": 1}

    asyncio.run(run())


# -- limits


def test_at_most_max_parallel_requests_are_in_flight(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(lambda request, times: after(0.01), max_parallel=3)
    complete_all(teacher, ledger, [request(str(n)) for n in range(30)], parallel=20)
    assert teacher._max_in_flight == 3


def test_requests_per_minute(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(echo, requests_per_minute=600)
    start = time.monotonic()
    complete_all(teacher, ledger, [request(str(n)) for n in range(11)])
    assert 0.94 <= time.monotonic() - start < 2.0


def test_tokens_per_minute_counts_used_tokens_not_the_worst_case(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(lambda request, times: Reply("x", 5, 5), tokens_per_minute=6_000)
    start = time.monotonic()
    complete_all(teacher, ledger, [request(str(n) * 30) for n in range(11)], parallel=11)
    assert 0.9 <= time.monotonic() - start < 2.0  # 10 tokens each at 100 a second; the worst case is over 100 each


def test_a_session_works_across_event_loops(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(echo, requests_per_minute=1_200, tokens_per_minute=12_000, max_parallel=2)
    session = TeacherSession(teacher)
    start = time.monotonic()
    for name in "abc":
        texts, _ = complete_all(teacher, ledger, [request(f"{name}{n}") for n in range(7)], session=session)
        assert texts == [f"{name.upper()}{n}" for n in range(7)]
    assert time.monotonic() - start > 0.9


# -- budgets


class PricedTeacher(Teacher):
    """Takes random times and numbers of tokens; `_charged` is the provider's own count."""

    name = "priced"
    price_in: float = Field(description="in")
    price_out: float = Field(description="out")
    max_tokens: int = Field(description="limit")
    failure_rate: float = Field(0.0, description="share of requests that fail")
    _charged: float = PrivateAttr(0.0)
    _random: random.Random = PrivateAttr(default_factory=lambda: random.Random(1))

    async def complete(self, request: Request) -> Reply:
        rng = self._random
        await asyncio.sleep(rng.random() * 0.002)
        if rng.random() < self.failure_rate:
            raise TeacherBusy("failed")
        tokens_in = max(1, len(request.messages[0].content) // rng.randint(1, 5))
        tokens_out = min(self.max_tokens, int(rng.lognormvariate(0, 1) * self.max_tokens / 4) + 1)
        cost = self.price().cost(tokens_in, tokens_out)
        self._charged += cost
        return Reply("x", tokens_in, tokens_out, cost)

    def price(self) -> Price:
        return Price(self.price_in, self.price_out)

    def max_output_tokens(self) -> int:
        return self.max_tokens


@settings(max_examples=20, deadline=None)
@given(
    price=st.tuples(st.floats(0.01, 50), st.floats(0.01, 100)),
    max_tokens=st.integers(1, 5_000),
    length=st.integers(1, 3_000),
    parallel=st.integers(1, 100),
    failure_rate=st.sampled_from((0.0, 0.1)),
    own=st.booleans(),
)
def test_a_budget_is_never_exceeded_and_nearly_all_used(
    tmp_path_factory, price, max_tokens, length, parallel, failure_rate, own
) -> None:
    worst_case = Price(*price).cost(max_input_tokens(request("x" * length + "1234")), max_tokens)
    budget = worst_case / 0.03
    teacher = PricedTeacher(
        price_in=price[0],
        price_out=price[1],
        max_tokens=max_tokens,
        failure_rate=failure_rate,
        max_parallel=parallel,
        budget_usd=None if own else budget,
    )
    ledger = Ledger(tmp_path_factory.mktemp("money") / "ledger.sqlite")

    async def run() -> float:
        options = {"max_cost_usd": budget if own else None, "sleep": lambda seconds: asyncio.sleep(0)}
        async with Client(teacher, "priced", ledger, **options) as client:
            requests = (request("x" * length + f"{n:04}") for n in range(10**6))
            async with aclosing(bounded_map(requests, client.complete, parallel)) as answers:
                async for _, result in answers:
                    assert teacher._charged <= budget
                    if isinstance(result, BudgetExceeded):
                        break
            limited = client.budget if own else client.session.budget
            assert limited.reserved_usd == 0
            return client.usage.cost_usd

    cost = asyncio.run(run())
    ledger.close()
    assert teacher._charged <= budget
    assert cost == pytest.approx(teacher._charged)
    assert cost >= 0.97 * budget


def test_stages_share_the_budget_of_their_teacher(ledger: Ledger) -> None:
    teacher = PricedTeacher(price_in=0, price_out=1e6, max_tokens=1, budget_usd=10.0)
    session = TeacherSession(teacher, spent_usd=3.0)

    async def run() -> list[Any]:
        async with (
            Client(teacher, "priced", ledger, session=session) as one,
            Client(teacher, "priced", ledger, session=session) as two,
        ):
            both = [client.complete(request(f"{name}{n}")) for n in range(6) for name, client in (("one", one), ("two", two))]
            return await asyncio.gather(*both, return_exceptions=True)

    results = asyncio.run(run())
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 5
    assert session.budget.spent_usd == 10.0


def test_a_lost_reply_counts_at_its_worst_case(ledger: Ledger) -> None:
    class LossyTeacher(PricedTeacher):
        async def complete(self, request: Request) -> Reply:
            raise TeacherBusy("the connection was lost") from ConnectionResetError()

    teacher = LossyTeacher(price_in=0, price_out=1e6, max_tokens=1)
    (error,), usage = complete_all(teacher, ledger, [request("a")], max_cost_usd=2.5)
    assert isinstance(error, BudgetExceeded)
    assert (usage.requests, usage.lost_usd) == (2, 2.0)


def test_a_budget_requires_a_price_and_a_maximum_length(ledger: Ledger) -> None:
    with pytest.raises(TeacherError, match="price"):
        complete_all(ScriptedTeacher.of(echo), ledger, [request("a")], max_cost_usd=1.0)
    with pytest.raises(TeacherError, match="length"):
        complete_all(FakeTeacher(replies=("x",), price_out=1.0), ledger, [request("a")], max_cost_usd=1.0)


# -- JSON schemas

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_an_invalid_reply_is_returned_for_correction(ledger: Ledger) -> None:
    corrections = []

    def script(request: Request, times: int) -> Reply:
        corrections.append(request.messages[-1].content)
        return Reply(("no json", '{"n": "one"}', '```json\n{"n": 1}\n```')[len(request.messages) // 2], 1, 1)

    teacher = ScriptedTeacher.of(script)
    (text,), usage = complete_all(teacher, ledger, [request("count", schema=SCHEMA)])
    assert json.loads(text) == {"n": 1}
    assert usage.repairs == 2
    assert "not valid JSON" in corrections[1]
    assert "$.n" in corrections[2]
    (text,), usage = complete_all(teacher, ledger, [request("count", schema=SCHEMA)], offline=True)
    assert json.loads(text) == {"n": 1}
    assert usage.requests == 0


def test_a_reply_that_stays_invalid_is_unusable(ledger: Ledger) -> None:
    (error,), usage = complete_all(
        ScriptedTeacher.of(lambda request, times: Reply("{}", 1, 1)), ledger, [request("count", schema=SCHEMA)]
    )
    assert isinstance(error, UnusableReply)
    assert "'n' is a required property" in error.problem
    assert usage.requests == 3


def test_a_truncated_reply_is_not_returned_for_correction(ledger: Ledger) -> None:
    teacher = ScriptedTeacher.of(lambda request, times: Reply('{"n"', 1, 1, finish="length"))
    (error,), usage = complete_all(teacher, ledger, [request("count", schema=SCHEMA)])
    assert isinstance(error, UnusableReply)
    assert "truncated" in error.problem
    assert (usage.requests, usage.truncated) == (1, 1)
