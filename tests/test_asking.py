"""Asking: each reply is paid for once, the gate and the budget hold, and what fails is asked again or told."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import BudgetExceeded, RequestRefused, TeacherBusy, TeacherError, UnusableReply
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.teachers.fake import Fake
from textbookgen.llm import Budget, Client, RateLimiter, TeacherSession, Usage, bounded_map, max_input_tokens
from textbookgen.storage.ledger import Ledger


def asked(text: str, **more: Any) -> Request:
    return Request((Message("user", text),), **more)


class Scripted(Teacher):
    """Does what its script says, request by request, and remembers what it saw."""

    name = "scripted"
    retries: ClassVar[int] = 3
    time_limit: Annotated[float | None, Runtime] = Field(None, description="seconds")

    _script: Callable[[Request, int], Awaitable[Reply] | Reply] = PrivateAttr()
    _seen: Counter[str] = PrivateAttr(default_factory=Counter)
    _under_way: int = PrivateAttr(0)
    _most_under_way: int = PrivateAttr(0)
    _closed: int = PrivateAttr(0)

    @classmethod
    def of(cls, script: Callable[[Request, int], Awaitable[Reply] | Reply], **options: Any) -> Scripted:
        teacher = cls(**options)
        teacher._script = script
        return teacher

    async def complete(self, request: Request) -> Reply:
        text = request.messages[-1].content
        self._seen[text] += 1
        self._under_way += 1
        self._most_under_way = max(self._most_under_way, self._under_way)
        try:
            result = self._script(request, self._seen[text])
            return await result if isinstance(result, Awaitable) else result
        finally:
            self._under_way -= 1

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


def ask_all(
    teacher: Teacher, ledger: Ledger, requests: list[Request], parallel: int = 8, **options: Any
) -> tuple[list[Any], Usage]:
    """The replies or errors, in order, and what they came to."""

    async def run() -> tuple[list[Any], Usage]:
        async with Client(teacher, teacher.name, ledger, **options) as client:
            done = bounded_map(enumerate(requests), lambda item: client.answer(item[1]), parallel)
            results = [result for _, result in sorted([(n, result) async for (n, _), result in done], key=lambda each: each[0])]
            return [result if isinstance(result, Exception) else result.reply.text for result in results], client.usage

    return asyncio.run(run())


# -- once


def test_nothing_is_asked_twice_at_once_nor_later(ledger: Ledger) -> None:
    teacher = Scripted.of(lambda request, times: after(0.02, f"{request.sample}"))
    requests = [asked("a"), asked("a"), asked("a", sample=1), asked("a")]
    texts, usage = ask_all(teacher, ledger, requests)
    assert texts == ["0", "0", "1", "0"]
    assert (usage.requests, usage.replies, usage.from_ledger) == (2, 2, 2)
    texts, usage = ask_all(teacher, ledger, requests)
    assert texts == ["0", "0", "1", "0"]
    assert (usage.requests, usage.from_ledger, usage.tokens_out) == (0, 4, 0)
    assert teacher._closed == 2


def test_those_who_wait_for_the_same_request_hear_of_its_refusal(ledger: Ledger) -> None:
    async def refuse() -> Reply:
        await asyncio.sleep(0.02)
        raise RequestRefused("no")

    teacher = Scripted.of(lambda request, times: refuse())
    texts, usage = ask_all(teacher, ledger, [asked("a"), asked("a")])
    assert [str(text).strip() for text in texts] == ["no", "no"]
    assert usage.requests == 1


def test_an_answer_that_was_seen_is_on_disk(ledger: Ledger, tmp_path: Path) -> None:
    async def run() -> None:
        async with Client(Scripted.of(echo), "s", ledger) as client:
            answer = await client.answer(asked("a"))
            other = Ledger(ledger.path)
            assert other.get(answer.key) == answer.reply
            other.close()

    asyncio.run(run())


def test_offline_only_the_ledger_answers(ledger: Ledger) -> None:
    teacher = Scripted.of(echo)
    ask_all(teacher, ledger, [asked("a")])
    texts, usage = ask_all(teacher, ledger, [asked("a"), asked("b")], offline=True)
    assert texts[0] == "A"
    assert isinstance(texts[1], RequestRefused)
    assert usage.requests == 0
    assert teacher._seen["b"] == 0


# -- again


def test_what_fails_in_passing_is_asked_again_and_what_is_refused_is_not(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        text = request.messages[0].content
        if text == "refused":
            raise RequestRefused("never")
        if times <= {"once": 1, "thrice": 3, "always": 99}.get(text, 0):
            raise TeacherBusy("not now")
        return echo(request, times)

    teacher = Scripted.of(script)
    texts, usage = ask_all(teacher, ledger, [asked(text) for text in ("well", "once", "thrice", "always", "refused")])
    assert texts[:3] == ["WELL", "ONCE", "THRICE"]
    assert isinstance(texts[3], TeacherBusy)
    assert isinstance(texts[4], RequestRefused)
    assert dict(teacher._seen) == {"well": 1, "once": 2, "thrice": 4, "always": 4, "refused": 1}
    assert (usage.requests, usage.retries, usage.refused) == (12, 7, 1)


def test_a_wish_to_wait_is_kept_to_and_uses_up_no_retries(ledger: Ledger) -> None:
    times_asked = []

    def script(request: Request, times: int) -> Reply:
        times_asked.append(time.monotonic())
        if times <= 6:
            raise TeacherBusy("too many", retry_after=0.05)
        return echo(request, times)

    teacher = Scripted.of(script)
    began = time.monotonic()
    (text,), usage = ask_all(teacher, ledger, [asked("a")])
    assert text == "A"
    assert usage.turned_away == 6 > teacher.retries
    assert all(late - early >= 0.05 for early, late in pairwise(times_asked))
    assert time.monotonic() - began < 2


def test_a_teacher_that_wants_us_to_come_back_tomorrow_is_not_waited_for(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        raise TeacherBusy("quota", retry_after=86_400)

    (error,), usage = ask_all(Scripted.of(script), ledger, [asked("a")])
    assert isinstance(error, TeacherError)
    assert usage.requests == 1


def test_a_hang_is_given_up_and_asked_again(ledger: Ledger) -> None:
    teacher = Scripted.of(lambda request, times: after(60 if times == 1 else 0), time_limit=0.1)
    (text,), usage = ask_all(teacher, ledger, [asked("a")])
    assert text == "late"
    assert (usage.requests, usage.retries) == (2, 1)


def test_a_teacher_that_is_gone_is_not_asked_for_ever(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        if request.messages[0].content == "30":
            return echo(request, times)
        raise TeacherBusy("nobody there")

    teacher = Scripted.of(script, max_parallel=2)
    teacher_retries, Scripted.retries = Scripted.retries, 0
    texts, _ = ask_all(teacher, ledger, [asked(str(n)) for n in range(25)], parallel=2)
    later, _ = ask_all(teacher, ledger, [asked(str(n)) for n in range(22, 40)], parallel=1)
    Scripted.retries = teacher_retries
    assert [type(each) for each in texts] == [TeacherBusy] * 9 + [TeacherError] * 16
    assert sum(teacher._seen[str(n)] for n in range(22)) <= 11
    assert [type(each) for each in later] == [TeacherBusy] * 8 + [str] + [TeacherBusy] * 9


def test_a_bug_in_a_teacher_is_no_reply(ledger: Ledger) -> None:
    def script(request: Request, times: int) -> Reply:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask_all(Scripted.of(script), ledger, [asked(str(n)) for n in range(20)])


def test_stopping_lets_requests_finish_and_sends_no_more(ledger: Ledger) -> None:
    async def run() -> None:
        teacher = Scripted.of(lambda request, times: after(0.1), max_parallel=1)
        async with Client(teacher, "s", ledger) as client:
            first, second = (asyncio.create_task(client.answer(asked(text))) for text in "ab")
            await asyncio.sleep(0.02)
            client.stop()
            assert (await first).reply.text == "late"
            with pytest.raises(TeacherError):
                await second
        assert dict(teacher._seen) == {"a": 1}

    asyncio.run(run())


# -- the gate


def test_no_more_than_max_parallel_are_under_way(ledger: Ledger) -> None:
    teacher = Scripted.of(lambda request, times: after(0.01), max_parallel=3)
    ask_all(teacher, ledger, [asked(str(n)) for n in range(30)], parallel=20)
    assert teacher._most_under_way == 3


def test_requests_a_minute(ledger: Ledger) -> None:
    teacher = Scripted.of(echo, requests_per_minute=600)
    began = time.monotonic()
    ask_all(teacher, ledger, [asked(str(n)) for n in range(11)])
    assert 0.94 <= time.monotonic() - began < 2.0


def test_tokens_a_minute_count_what_was_taken_and_not_what_was_feared(ledger: Ledger) -> None:
    teacher = Scripted.of(lambda request, times: Reply("x", 5, 5), tokens_per_minute=6_000)
    began = time.monotonic()
    ask_all(teacher, ledger, [asked(str(n) * 30) for n in range(11)], parallel=11)
    assert 0.9 <= time.monotonic() - began < 2.0  # ten tokens each, a hundred a second; feared were over a hundred each


def test_a_desk_outlives_event_loops(ledger: Ledger) -> None:
    teacher = Scripted.of(echo, requests_per_minute=1_200, tokens_per_minute=12_000, max_parallel=2)
    session = TeacherSession(teacher)
    began = time.monotonic()
    for name in "abc":
        texts, _ = ask_all(teacher, ledger, [asked(f"{name}{n}") for n in range(7)], session=session)
        assert texts == [f"{name.upper()}{n}" for n in range(7)]
    assert time.monotonic() - began > 0.9


def test_the_gate_falls_when_many_are_turned_away_and_comes_back() -> None:
    async def rounds(rate_limiter: RateLimiter, number: int, away: float) -> None:
        for n in range(number):
            await rate_limiter.enter("x", 1)
            rate_limiter.leave(1, 1, turned_away=(n % 100) < away * 100)

    async def run() -> None:
        rate_limiter = RateLimiter(64)
        await rounds(rate_limiter, 1000, 0.05)
        assert rate_limiter.limit == 64
        await rounds(rate_limiter, 1000, 1.0)
        assert rate_limiter.limit == 1
        await rounds(rate_limiter, 1000, 0.0)
        assert rate_limiter.limit == 64
        assert rate_limiter.under_way == 0

    asyncio.run(run())


def test_a_short_line_does_not_wait_for_a_long_one() -> None:
    async def run() -> list[str]:
        rate_limiter, order = RateLimiter(1), []

        async def one(caller: str) -> None:
            await rate_limiter.enter(caller, 1)
            await asyncio.sleep(0)
            order.append(caller)
            rate_limiter.leave(1, 1)

        await asyncio.gather(*(one(caller) for caller in "aaaaaaaabb"))
        return order

    assert "".join(asyncio.run(run())) == "aababaaaaa"


def test_who_is_cancelled_in_line_holds_nothing() -> None:
    async def run() -> None:
        rate_limiter = RateLimiter(1)
        await rate_limiter.enter("a", 1)
        waiting = [asyncio.create_task(rate_limiter.enter("b", 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        rate_limiter.leave(1, 1)
        waiting[1].cancel()  # its turn has come, but it does not know yet
        await asyncio.wait(waiting, timeout=1)
        assert waiting[2].done()
        assert rate_limiter.under_way == 1

    asyncio.run(run())


# -- money


class Dear(Teacher):
    """Takes random times and amounts; `_paid` is the provider's own count."""

    name = "dear"
    price_in: float = Field(description="in")
    price_out: float = Field(description="out")
    max_tokens: int = Field(description="most")
    failing: float = Field(0.0, description="share of requests that fail")
    _paid: float = PrivateAttr(0.0)
    _random: random.Random = PrivateAttr(default_factory=lambda: random.Random(1))

    async def complete(self, request: Request) -> Reply:
        rng = self._random
        await asyncio.sleep(rng.random() * 0.002)
        if rng.random() < self.failing:
            raise TeacherBusy("failed")
        read = max(1, len(request.messages[0].content) // rng.randint(1, 5))
        written = min(self.max_tokens, int(rng.lognormvariate(0, 1) * self.max_tokens / 4) + 1)
        cost = self.price().cost(read, written)
        self._paid += cost
        return Reply("x", read, written, cost)

    def price(self) -> Price:
        return Price(self.price_in, self.price_out)

    def max_output_tokens(self) -> int:
        return self.max_tokens


@settings(max_examples=20, deadline=None)
@given(
    price=st.tuples(st.floats(0.01, 50), st.floats(0.01, 100)),
    most=st.integers(1, 5_000),
    length=st.integers(1, 3_000),
    parallel=st.integers(1, 100),
    failing=st.sampled_from((0.0, 0.1)),
    own=st.booleans(),
)
def test_a_budget_is_never_passed_and_nearly_all_used(tmp_path_factory, price, most, length, parallel, failing, own) -> None:
    worst = Price(*price).cost(max_input_tokens(asked("x" * length + "1234")), most)
    budget = worst / 0.03
    teacher = Dear(
        price_in=price[0],
        price_out=price[1],
        max_tokens=most,
        failing=failing,
        max_parallel=parallel,
        budget_usd=None if own else budget,
    )
    ledger = Ledger(tmp_path_factory.mktemp("money") / "ledger.sqlite")

    async def run() -> float:
        async with Client(teacher, "dear", ledger, max_cost_usd=budget if own else None) as client:
            # without waits between tries: a random one would be most of the test
            client._rest = lambda seconds: asyncio.sleep(0)  # type: ignore[method-assign]
            requests = (asked("x" * length + f"{n:04}") for n in range(10**6))
            async with aclosing(bounded_map(requests, client.answer, parallel)) as works:
                async for _, result in works:
                    assert teacher._paid <= budget
                    if isinstance(result, BudgetExceeded):
                        break
            purse = client.budget if own else client.session.budget
            assert purse.reserved_usd == 0
            return client.usage.cost_usd

    cost = asyncio.run(run())
    ledger.close()
    assert teacher._paid <= budget
    assert cost == pytest.approx(teacher._paid)
    assert cost >= 0.97 * budget


def test_stages_share_the_budget_of_their_teacher(ledger: Ledger) -> None:
    teacher = Dear(price_in=0, price_out=1e6, max_tokens=1, budget_usd=10.0)
    session = TeacherSession(teacher, spent_usd=3.0)

    async def run() -> list[Any]:
        async with (
            Client(teacher, "dear", ledger, session=session) as one,
            Client(teacher, "dear", ledger, session=session) as two,
        ):
            both = [client.answer(asked(f"{name}{n}")) for n in range(6) for name, client in (("one", one), ("two", two))]
            return await asyncio.gather(*both, return_exceptions=True)

    results = asyncio.run(run())
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 5
    assert session.budget.spent_usd == 10.0


def test_a_reply_that_was_lost_counts_as_paid(ledger: Ledger) -> None:
    class Lost(Dear):
        async def complete(self, request: Request) -> Reply:
            raise TeacherBusy("the connection was lost") from ConnectionResetError()

    teacher = Lost(price_in=0, price_out=1e6, max_tokens=1)
    (error,), usage = ask_all(teacher, ledger, [asked("a")], max_cost_usd=2.5)
    assert isinstance(error, BudgetExceeded)
    assert (usage.requests, usage.lost_usd) == (2, 2.0)


def test_a_budget_needs_a_price_and_a_bound(ledger: Ledger) -> None:
    with pytest.raises(TeacherError, match="price"):
        ask_all(Scripted.of(echo), ledger, [asked("a")], max_cost_usd=1.0)
    with pytest.raises(TeacherError, match="length"):
        ask_all(Fake(answers=("x",), price_out=1.0), ledger, [asked("a")], max_cost_usd=1.0)


def test_a_purse_without_limit_counts() -> None:
    async def run() -> None:
        budget = Budget()
        for _ in range(3):
            budget.settle(await budget.reserve(5.0), 0.1)
        assert budget.spent_usd == pytest.approx(0.3)
        assert budget.reserved_usd == 0

    asyncio.run(run())


# -- replies of a form

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_a_reply_that_is_not_of_the_form_is_sent_back_with_the_complaint(ledger: Ledger) -> None:
    diagnostics = []

    def script(request: Request, times: int) -> Reply:
        diagnostics.append(request.messages[-1].content)
        return Reply(("no json", '{"n": "one"}', '```json\n{"n": 1}\n```')[len(request.messages) // 2], 1, 1)

    teacher = Scripted.of(script)
    (text,), usage = ask_all(teacher, ledger, [asked("count", schema=SCHEMA)])
    assert json.loads(text) == {"n": 1}
    assert usage.repairs == 2
    assert "not JSON" in diagnostics[1]
    assert "$.n" in diagnostics[2]
    (text,), usage = ask_all(teacher, ledger, [asked("count", schema=SCHEMA)], offline=True)
    assert json.loads(text) == {"n": 1}
    assert usage.requests == 0


def test_a_form_that_is_never_kept_to_is_unusable(ledger: Ledger) -> None:
    (error,), usage = ask_all(Scripted.of(lambda request, times: Reply("{}", 1, 1)), ledger, [asked("count", schema=SCHEMA)])
    assert isinstance(error, UnusableReply)
    assert "'n' is a required property" in error.problem
    assert usage.requests == 3


def test_a_cut_reply_is_not_sent_back(ledger: Ledger) -> None:
    teacher = Scripted.of(lambda request, times: Reply('{"n"', 1, 1, finish="length"))
    (error,), usage = ask_all(teacher, ledger, [asked("count", schema=SCHEMA)])
    assert isinstance(error, UnusableReply)
    assert "cut" in error.problem
    assert (usage.requests, usage.truncated) == (1, 1)


# -- many


def test_many_are_given_with_their_errors() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(random.Random(n).random() * 0.01)
        if n % 10 == 3:
            raise RequestRefused("three")
        return n * n

    async def run() -> list[tuple[int, Any]]:
        return [(n, result) async for n, result in bounded_map(range(100), work, 7)]

    results = asyncio.run(run())
    assert sorted(n for n, _ in results) == list(range(100))
    assert all(isinstance(result, RequestRefused) if n % 10 == 3 else result == n * n for n, result in results)


def test_no_more_is_taken_than_there_is_room_for() -> None:
    taken = []

    def items():
        for n in range(1000):
            taken.append(n)
            yield n

    async def work(n: int) -> int:
        return n

    async def run() -> None:
        given = 0
        async for _ in bounded_map(items(), work, 5):
            given += 1
            assert len(taken) <= given + 2 * 5
            await asyncio.sleep(0.001)
        assert given == 1000

    asyncio.run(run())


def test_a_slow_one_holds_up_no_other() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0.3 if n == 0 else 0)
        return n

    async def run() -> list[int]:
        return [n async for n, _ in bounded_map(range(1000), work, 2)]

    assert asyncio.run(run())[-1] == 0


def test_closed_early_it_finishes_what_was_begun_and_takes_no_more() -> None:
    begun, done = [], []

    async def work(n: int) -> int:
        begun.append(n)
        await asyncio.sleep(0.05)
        done.append(n)
        return n

    async def run() -> None:
        async with aclosing(bounded_map(range(100), work, 10)) as works:
            async for _ in works:
                break

    asyncio.run(run())
    assert sorted(begun) == sorted(done)
    assert len(done) < 30


def test_a_bug_ends_the_work_at_once() -> None:
    async def work(n: int) -> int:
        if n == 5:
            raise KeyError("bug")
        await asyncio.sleep(30 if n > 5 else 0)
        return n

    async def run() -> None:
        async for _ in bounded_map(range(100), work, 10):
            pass

    began = time.monotonic()
    with pytest.raises(KeyError):
        asyncio.run(run())
    assert time.monotonic() - began < 5


def test_nothing_to_do_is_done_at_once() -> None:
    async def run() -> list[Any]:
        return [each async for each in bounded_map([], echo, 3)]  # type: ignore[arg-type]

    assert asyncio.run(run()) == []
