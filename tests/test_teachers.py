"""The built-in teachers: `fake`, and `openai` against a loopback server that injects faults."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from textbookgen.api.chat_teacher import supports_strict_mode
from textbookgen.api.errors import RequestRefused, TeacherBusy, TeacherError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request
from textbookgen.builtin.teachers import CheckpointTeacher, FakeTeacher, OpenAITeacher, teachers
from textbookgen.llm import Client, Usage, bounded_map
from textbookgen.storage.ledger import Ledger

SERVER = Path(__file__).parents[1] / "benchmarks" / "chat_server.py"
SECRET = "sk-textbookgen-secret-4711"


@contextmanager
def serving(*options: str) -> Iterator[str]:
    command = [sys.executable, str(SERVER), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


@pytest.fixture
def server() -> Iterator[str]:
    with serving("--seconds", "0.01") as address:
        yield address


def stats(server: str) -> dict[str, Any]:
    with urlopen(f"{server}/stats") as answer:
        return json.load(answer)


def request_of(text: str, **more: Any) -> Request:
    return Request((Message("user", text),), **more)


def complete(teacher: Any, *prompts: str) -> list[Reply | Exception]:
    async def run() -> list[Reply | Exception]:
        replies = await asyncio.gather(*(teacher.complete(request_of(prompt)) for prompt in prompts), return_exceptions=True)
        await teacher.close()
        return replies

    return asyncio.run(run())


# -- fake


def test_fake_replies_are_deterministic_and_diverse() -> None:
    replies = complete(FakeTeacher(words=5), "a fox and a hen", "a fox and a hen", "two hens")
    assert replies[0] == replies[1] != replies[2]
    assert replies[0].tokens_out == 5
    texts = {reply.text for reply in complete(FakeTeacher(replies=("one", "two", "{prompt}!")), *map(str, range(50)))}
    assert {"one", "two"} < texts
    assert any(text.endswith("!") for text in texts)


def test_fake_injects_faults() -> None:
    faults = {
        "wolf": "busy 2",
        "bear": "busy 1 after 3",
        "fire": "refuse",
        "long": "truncate",
        "void": "empty",
        "bad": "filter",
        "lost": "busy",
    }
    teacher = FakeTeacher(faults=faults)
    assert not list(teacher.check())
    kinds = [type(each) for each in complete(teacher, "wolf", "wolf", "wolf", "fire", "lost")]
    assert kinds == [TeacherBusy, TeacherBusy, Reply, RequestRefused, TeacherBusy]
    (busy,) = complete(teacher, "bear")
    assert busy.retry_after == 3
    cut, empty, bad = complete(teacher, "long", "void", "bad")
    assert (cut.finish, empty.text, bad.finish) == ("length", "", "filter")
    assert [diagnostic.place for diagnostic in FakeTeacher(faults={"x": "explode"}).check()] == ["faults"]


def test_fake_counts_words_and_cost() -> None:
    teacher = FakeTeacher(price_in=1e6, price_out=2e6, max_tokens=2)
    (reply,) = complete(teacher, "three small words")
    assert (reply.tokens_in, reply.tokens_out, reply.cost_usd, reply.finish) == (3, 2, 7.0, "length")


# -- openai: one request


def test_openai_replies(server: str) -> None:
    teacher = OpenAITeacher(model="m", api_base=f"{server}/v1/", price_in=1.0, price_out=2.0)
    (reply,) = complete(teacher, "hello")
    assert reply.text.split()[1:3] == ["once", "upon"]
    assert (reply.tokens_in, reply.tokens_out, reply.finish) == (2, 121, "stop")
    assert reply.cost_usd == pytest.approx((2 + 2 * 121) / 1e6)


FAULTS = [
    ("<<429>>", TeacherBusy, 0.0, None),
    ("<<429x9@7>>", TeacherBusy, 7.0, None),
    ("<<500>>", TeacherBusy, None, None),
    ("<<503x9@2>>", TeacherBusy, 2.0, None),
    ("<<drop>>", TeacherBusy, None, ConnectionResetError),
    ("<<half>>", TeacherBusy, None, ConnectionResetError),
    ("<<malformed>>", TeacherBusy, None, ValueError),
    ("<<empty>>", TeacherBusy, None, ValueError),
    ("<<400>>", RequestRefused, None, None),
    ("<<403>>", RequestRefused, None, None),
    ("<<401>>", TeacherError, None, None),
    ("<<404>>", TeacherError, None, None),
    ("<<307>>", TeacherError, None, None),
]


@pytest.mark.parametrize(("fault", "kind", "wait", "cause"), FAULTS)
def test_each_failure_is_translated_and_sent_once(server: str, fault: str, kind, wait, cause) -> None:
    (failure,) = complete(OpenAITeacher(model="m", api_base=f"{server}/v1"), fault)
    assert type(failure) is kind
    assert getattr(failure, "retry_after", None) == wait
    assert type(failure.__cause__) is (cause or type(None))
    assert stats(server)["requests"][fault] == 1


def test_a_truncated_reply_finishes_with_length(server: str) -> None:
    assert complete(OpenAITeacher(model="m", api_base=f"{server}/v1"), "<<truncate>>")[0].finish == "length"


def test_a_refused_connection_is_retryable_and_not_charged() -> None:
    (failure,) = complete(OpenAITeacher(model="m", api_base="http://127.0.0.1:1/v1"), "x")
    assert isinstance(failure, TeacherBusy)
    assert isinstance(failure.__cause__, ConnectionRefusedError)


def read(answer: dict[str, Any], **options: Any) -> Reply:
    return OpenAITeacher(model="m", api_base="http://x/v1", **options)._reply(json.dumps(answer).encode(), request_of("hello"))


def test_usage_and_finish_reason_are_read() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    choice = {"message": {"content": "é \ud800"}, "finish_reason": "content_filter"}
    reply = read({"choices": [choice], "usage": usage}, price_in=1.0, price_out=2.0, price_cached=0.5)
    assert reply == Reply("é ?", 100, 50, pytest.approx((20 + 40 + 100) / 1e6), "filter", 80, 40)
    assert read({"choices": [{"message": {"content": None, "refusal": "no"}}]}).finish == "filter"
    assert read({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}]}}]}).text == "ab"


def test_tokens_are_overestimated_for_a_server_that_reports_none() -> None:
    reply = read({"choices": [{"message": {"content": "four"}}]}, price_in=1e6, price_out=1e6)
    assert (reply.tokens_in, reply.tokens_out, reply.cost_usd) == (5, 4, 9.0)


def test_a_schema_is_sent_as_the_option_says() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}

    def body(**options: Any) -> dict[str, Any]:
        return OpenAITeacher(model="m", api_base="http://x/v1", **options).body(request_of("x", schema=schema))

    assert body()["response_format"]["json_schema"]["strict"] is True
    assert body(structured_output="json")["response_format"] == {"type": "json_object"}
    assert json.dumps(schema) in body(structured_output="json")["messages"][0]["content"]
    assert "response_format" not in body(structured_output="instructions")
    assert not supports_strict_mode({"type": "array", "items": {"type": "object", "properties": {"a": {}}}})


def test_check_reports_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    teacher = OpenAITeacher(
        model="m", api_base="localhost:8000", api_key_env="NO_KEY", headers={"X": "env:NO_KEY"}, budget_usd=1.0
    )
    assert [diagnostic.place for diagnostic in teacher.check()] == ["api_base", "api_key_env", "headers", "budget_usd"]
    assert OpenAITeacher(model="m", api_base="http://x/v1").price() == Price(0, 0)
    assert not list(OpenAITeacher(model="m", api_base=["http://x/v1", "http://y/v1"], budget_usd=1.0).check())


def test_all_options_are_described() -> None:
    assert teachers() == (FakeTeacher, OpenAITeacher, CheckpointTeacher)
    assert all(field.description for teacher in teachers() for field in teacher.model_fields.values())


# -- openai: many requests


def complete_all(teacher: OpenAITeacher, ledger: Ledger, prompts: list[str], parallel: int = 32) -> tuple[list[Any], Usage]:
    async def run() -> tuple[list[Any], Usage]:
        async with Client(teacher, "openai", ledger) as client:
            done = bounded_map(enumerate(prompts), lambda item: client.complete(request_of(item[1])), parallel)
            results = [result for _, result in sorted([(n, result) async for (n, _), result in done], key=lambda each: each[0])]
            return [result if isinstance(result, Exception) else result.reply for result in results], client.usage

    return asyncio.run(run())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def prompt_with_fault(n: int) -> str:
    """One prompt in ten has a fault, each kind at least as often as in practice."""
    faults = {
        3: "<<429x1@0.2>>",
        23: "<<500x3>>",
        43: "<<drop>>" if n == 43 else "<<dropx1>>",
        63: "<<halfx1>>",
        83: "<<hangx1>>",
    }
    faults |= {13: "<<malformedx1>>", 33: "<<emptyx1>>", 53: "<<400>>", 73: "<<truncate>>", 93: "<<503x2@0.1>>"}
    return f"story {n} {faults.get(n % 100, '')}"


def test_a_failing_server_loses_no_document_and_does_not_hang(server: str, ledger: Ledger) -> None:
    prompts = [prompt_with_fault(n) for n in range(400)]
    teacher = OpenAITeacher(model="m", api_base=f"{server}/v1", max_parallel=32, timeout=2.0, max_retries=4)
    start = time.monotonic()
    results, usage = complete_all(teacher, ledger, prompts)
    assert time.monotonic() - start < 30
    bad = [n for n, result in enumerate(results) if isinstance(result, Exception)]
    assert bad == [43, 53, 153, 253, 353]
    assert [n for n, result in enumerate(results) if n not in bad and result.finish == "length"] == [73, 173, 273, 373]
    assert isinstance(results[43], TeacherError)
    counts = stats(server)
    assert [counts["requests"][prompts[n]] for n in (53, 73, 3, 23, 93, 43)] == [1, 1, 2, 4, 3, 5]
    assert all(counts["replies"].get(prompt, 0) == (n not in bad) for n, prompt in enumerate(prompts))
    again, usage = complete_all(teacher, ledger, prompts)
    assert [n for n, result in enumerate(again) if isinstance(result, Exception)] == bad
    assert usage.from_ledger == 395
    assert [again[n] for n in range(400) if n not in bad] == [results[n] for n in range(400) if n not in bad]


def test_addresses_share_the_load_and_an_unreachable_one_is_skipped(ledger: Ledger) -> None:
    with serving("--seconds", "0.02") as first, serving("--seconds", "0.02") as second:
        bases = [f"{first}/v1", f"{second}/v1", "http://127.0.0.1:1/v1"]
        teacher = OpenAITeacher(model="m", api_base=bases, max_parallel=30)
        results, usage = complete_all(teacher, ledger, [str(n) for n in range(600)])
        shares = [sum(stats(server)["requests"].values()) for server in (first, second)]
    assert all(isinstance(result, Reply) for result in results)
    assert min(shares) > 200
    assert 0 < usage.retries < 40


def test_concurrency_falls_to_what_the_server_accepts(ledger: Ledger) -> None:
    """A server that accepts 4 requests at once rejects the others; all are answered, and rejections become rare."""

    class Narrow(OpenAITeacher):
        name = "narrow"

        async def complete(self, request: Request) -> Reply:
            if busy["n"] >= 4:
                raise TeacherBusy("too many", retry_after=0.02)
            busy["n"] += 1
            await asyncio.sleep(0.01)
            busy["n"] -= 1
            return Reply("x", 1, 1)

    busy: Counter[str] = Counter()
    results, usage = complete_all(
        Narrow(model="m", api_base="http://x/v1", max_parallel=64), ledger, [str(n) for n in range(600)], 64
    )
    assert all(isinstance(result, Reply) for result in results)
    assert usage.rate_limited < 450


# -- keys


def test_keys_are_masked_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server repeats the key in its error messages, as some do."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("THE_KEY", SECRET)
    message = f'{{"error": {{"message": "{SECRET} is not welcome", "code": "{SECRET}"}}}}'
    ledger = Ledger(tmp_path / "ledger.sqlite")
    errors = []
    for status in (401, 429, 500):
        with serving("--always", str(status), message) as server:
            teacher = OpenAITeacher(
                model="m", api_base=f"{server}/v1", api_key_env="THE_KEY", headers={"X-Key": "env:THE_KEY"}, max_retries=1
            )
            errors += complete_all(teacher, ledger, ["x"])[0] if status != 429 else complete(teacher, "x")
    with serving() as server:
        teacher = OpenAITeacher(model="m", api_base=f"{server}/v1", api_key_env="THE_KEY", headers={"X-Key": "env:THE_KEY"})
        assert isinstance(complete_all(teacher, ledger, ["x"])[0][0], Reply)
        assert stats(server)["keys"] == [f"Bearer {SECRET}"]
    ledger.close()
    assert all(isinstance(error, TeacherError) for error in errors)
    seen = "".join(f"{error}{error!r}{error.__cause__!r}{error.__dict__}" for error in errors) + caplog.text + repr(teacher)
    assert SECRET not in seen
    assert "***" in seen
    for file in tmp_path.rglob("*"):
        assert SECRET.encode() not in file.read_bytes()


def test_header_values_from_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXY_TOKEN", SECRET)
    with serving("--always", "400", f"no entry for {SECRET}") as server:
        teacher = OpenAITeacher(model="m", api_base=f"{server}/v1", headers={"X-Token": "env:PROXY_TOKEN", "X-Team": "no"})
        (refusal,) = complete(teacher, "x")
    assert str(refusal).strip() == "m: HTTP 400: no entry for ***"
