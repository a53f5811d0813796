"""The built-in teachers: `fake`, and `openai` against a loopback server that fails on cue."""

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

from textbookgen.api.chat_teacher import _is_strict
from textbookgen.api.errors import RequestRefused, TeacherBusy, TeacherError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request
from textbookgen.builtin.teachers import Fake, OwnModel, teachers
from textbookgen.builtin.teachers.openai import OpenAI
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


def asked(text: str, **more: Any) -> Request:
    return Request((Message("user", text),), **more)


def complete(teacher: Any, *prompts: str) -> list[Reply | Exception]:
    async def run() -> list[Reply | Exception]:
        replies = await asyncio.gather(*(teacher.complete(asked(prompt)) for prompt in prompts), return_exceptions=True)
        await teacher.close()
        return replies

    return asyncio.run(run())


# -- fake


def test_fake_is_the_same_each_time_and_various() -> None:
    replies = complete(Fake(words=5), "a fox and a hen", "a fox and a hen", "two hens")
    assert replies[0] == replies[1] != replies[2]
    assert replies[0].tokens_out == 5
    texts = {reply.text for reply in complete(Fake(answers=("one", "two", "{prompt}!")), *map(str, range(50)))}
    assert {"one", "two"} < texts
    assert any(text.endswith("!") for text in texts)


def test_fake_fails_on_cue() -> None:
    cues = {
        "wolf": "busy 2",
        "bear": "busy 1 after 3",
        "fire": "refuse",
        "long": "cut",
        "void": "empty",
        "bad": "filter",
        "lost": "busy",
    }
    teacher = Fake(cues=cues)
    assert not list(teacher.check())
    kinds = [type(each) for each in complete(teacher, "wolf", "wolf", "wolf", "fire", "lost")]
    assert kinds == [TeacherBusy, TeacherBusy, Reply, RequestRefused, TeacherBusy]
    (busy,) = complete(teacher, "bear")
    assert busy.retry_after == 3
    cut, empty, bad = complete(teacher, "long", "void", "bad")
    assert (cut.finish, empty.text, bad.finish) == ("length", "", "filter")
    assert [diagnostic.place for diagnostic in Fake(cues={"x": "explode"}).check()] == ["cues"]


def test_fake_can_be_dear() -> None:
    teacher = Fake(price_in=1e6, price_out=2e6, max_tokens=2)
    (reply,) = complete(teacher, "three small words")
    assert (reply.tokens_in, reply.tokens_out, reply.cost_usd, reply.finish) == (3, 2, 7.0, "length")


# -- openai: one request


def test_openai_answers(server: str) -> None:
    teacher = OpenAI(model="m", api_base=f"{server}/v1/", price_in=1.0, price_out=2.0)
    (reply,) = complete(teacher, "hello")
    assert reply.text.split()[1:3] == ["once", "upon"]
    assert (reply.tokens_in, reply.tokens_out, reply.finish) == (2, 121, "stop")
    assert reply.cost_usd == pytest.approx((2 + 2 * 121) / 1e6)


CUES = [
    ("<<429>>", TeacherBusy, 0.0, None),
    ("<<429x9@7>>", TeacherBusy, 7.0, None),
    ("<<500>>", TeacherBusy, None, None),
    ("<<503x9@2>>", TeacherBusy, 2.0, None),
    ("<<drop>>", TeacherBusy, None, ConnectionResetError),
    ("<<half>>", TeacherBusy, None, ConnectionResetError),
    ("<<junk>>", TeacherBusy, None, ValueError),
    ("<<empty>>", TeacherBusy, None, ValueError),
    ("<<400>>", RequestRefused, None, None),
    ("<<403>>", RequestRefused, None, None),
    ("<<401>>", TeacherError, None, None),
    ("<<404>>", TeacherError, None, None),
    ("<<307>>", TeacherError, None, None),
]


@pytest.mark.parametrize(("cue", "kind", "wait", "cause"), CUES)
def test_each_failure_is_told_apart_and_sent_once(server: str, cue: str, kind, wait, cause) -> None:
    (failure,) = complete(OpenAI(model="m", api_base=f"{server}/v1"), cue)
    assert type(failure) is kind
    assert getattr(failure, "retry_after", None) == wait
    assert type(failure.__cause__) is (cause or type(None))
    assert stats(server)["asked"][cue] == 1


def test_a_cut_reply_is_known_as_such(server: str) -> None:
    assert complete(OpenAI(model="m", api_base=f"{server}/v1"), "<<cut>>")[0].finish == "length"


def test_nobody_there() -> None:
    (failure,) = complete(OpenAI(model="m", api_base="http://127.0.0.1:1/v1"), "x")
    assert isinstance(failure, TeacherBusy)
    assert isinstance(failure.__cause__, ConnectionRefusedError)


def read(answer: dict[str, Any], **options: Any) -> Reply:
    return OpenAI(model="m", api_base="http://x/v1", **options)._reply(json.dumps(answer).encode(), asked("hello"))


def test_all_that_is_told_of_a_reply_is_kept() -> None:
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


def test_a_server_that_does_not_count_is_thought_dear() -> None:
    reply = read({"choices": [{"message": {"content": "four"}}]}, price_in=1e6, price_out=1e6)
    assert (reply.tokens_in, reply.tokens_out, reply.cost_usd) == (5, 4, 9.0)


def test_a_schema_is_sent_as_the_server_takes_it() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}

    def body(**options: Any) -> dict[str, Any]:
        return OpenAI(model="m", api_base="http://x/v1", **options).body(asked("x", schema=schema))

    assert body()["response_format"]["json_schema"]["strict"] is True
    assert body(structured="json")["response_format"] == {"type": "json_object"}
    assert json.dumps(schema) in body(structured="json")["messages"][0]["content"]
    assert "response_format" not in body(structured="instructions")
    assert not _is_strict({"type": "array", "items": {"type": "object", "properties": {"a": {}}}})


def test_check_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_KEY", raising=False)
    teacher = OpenAI(model="m", api_base="localhost:8000", api_key_env="NO_KEY", headers={"X": "env:NO_KEY"}, budget_usd=1.0)
    assert [diagnostic.place for diagnostic in teacher.check()] == ["api_base", "api_key_env", "headers", "budget_usd"]
    assert OpenAI(model="m", api_base="http://x/v1").price() == Price(0, 0)
    assert not list(OpenAI(model="m", api_base=["http://x/v1", "http://y/v1"], budget_usd=1.0).check())


def test_all_options_explain_themselves() -> None:
    assert teachers() == (Fake, OpenAI, OwnModel)
    assert all(field.description for teacher in teachers() for field in teacher.model_fields.values())


# -- openai: many requests


def ask_all(teacher: OpenAI, ledger: Ledger, prompts: list[str], parallel: int = 32) -> tuple[list[Any], Usage]:
    async def run() -> tuple[list[Any], Usage]:
        async with Client(teacher, "openai", ledger) as asking:
            done = bounded_map(enumerate(prompts), lambda item: asking.answer(asked(item[1])), parallel)
            results = [result for _, result in sorted([(n, result) async for (n, _), result in done], key=lambda each: each[0])]
            return [result if isinstance(result, Exception) else result.reply for result in results], asking.usage

    return asyncio.run(run())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def cued(n: int) -> str:
    """One prompt in five is trouble, each kind as often as in life or more."""
    trouble = {
        3: "<<429x1@0.2>>",
        23: "<<500x3>>",
        43: "<<drop>>" if n == 43 else "<<dropx1>>",
        63: "<<halfx1>>",
        83: "<<hangx1>>",
    }
    trouble |= {13: "<<junkx1>>", 33: "<<emptyx1>>", 53: "<<400>>", 73: "<<cut>>", 93: "<<503x2@0.1>>"}
    return f"story {n} {trouble.get(n % 100, '')}"


def test_a_bad_endpoint_costs_no_good_document_and_hangs_nothing(server: str, ledger: Ledger) -> None:
    prompts = [cued(n) for n in range(400)]
    teacher = OpenAI(model="m", api_base=f"{server}/v1", max_parallel=32, time_limit=2.0, retries=4)
    began = time.monotonic()
    results, usage = ask_all(teacher, ledger, prompts)
    assert time.monotonic() - began < 30
    bad = [n for n, result in enumerate(results) if isinstance(result, Exception)]
    assert bad == [43, 53, 153, 253, 353]
    assert [n for n, result in enumerate(results) if n not in bad and result.finish == "length"] == [73, 173, 273, 373]
    assert isinstance(results[43], TeacherError)
    told = stats(server)
    assert [told["asked"][prompts[n]] for n in (53, 73, 3, 23, 93, 43)] == [1, 1, 2, 4, 3, 5]
    assert all(told["answered"].get(prompt, 0) == (n not in bad) for n, prompt in enumerate(prompts))
    again, usage = ask_all(teacher, ledger, prompts)
    assert [n for n, result in enumerate(again) if isinstance(result, Exception)] == bad
    assert usage.from_ledger == 395
    assert [again[n] for n in range(400) if n not in bad] == [results[n] for n in range(400) if n not in bad]


def test_servers_share_the_work_and_one_that_is_gone_is_rested(ledger: Ledger) -> None:
    with serving("--seconds", "0.02") as first, serving("--seconds", "0.02") as second:
        bases = [f"{first}/v1", f"{second}/v1", "http://127.0.0.1:1/v1"]
        teacher = OpenAI(model="m", api_base=bases, max_parallel=30)
        results, usage = ask_all(teacher, ledger, [str(n) for n in range(600)])
        shares = [sum(stats(server)["asked"].values()) for server in (first, second)]
    assert all(isinstance(result, Reply) for result in results)
    assert min(shares) > 200
    assert 0 < usage.retries < 40


def test_the_gate_falls_before_a_server_with_a_limit(ledger: Ledger) -> None:
    """A server that takes 4 at once turns the others away; all is answered, and few are turned away in the end."""

    class Narrow(OpenAI):
        name = "narrow"

        async def complete(self, request: Request) -> Reply:
            if busy["n"] >= 4:
                raise TeacherBusy("too many", retry_after=0.02)
            busy["n"] += 1
            await asyncio.sleep(0.01)
            busy["n"] -= 1
            return Reply("x", 1, 1)

    busy: Counter[str] = Counter()
    results, usage = ask_all(
        Narrow(model="m", api_base="http://x/v1", max_parallel=64), ledger, [str(n) for n in range(600)], 64
    )
    assert all(isinstance(result, Reply) for result in results)
    assert usage.turned_away < 450


# -- keys


def test_no_key_is_written_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The server tells the key back in its complaints, as some do."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("THE_KEY", SECRET)
    telling = f'{{"error": {{"message": "{SECRET} is not welcome", "code": "{SECRET}"}}}}'
    ledger = Ledger(tmp_path / "ledger.sqlite")
    errors = []
    for status in (401, 429, 500):
        with serving("--refuse", str(status), telling) as server:
            teacher = OpenAI(
                model="m", api_base=f"{server}/v1", api_key_env="THE_KEY", headers={"X-Key": "env:THE_KEY"}, retries=1
            )
            errors += ask_all(teacher, ledger, ["x"])[0] if status != 429 else complete(teacher, "x")
    with serving() as server:
        teacher = OpenAI(model="m", api_base=f"{server}/v1", api_key_env="THE_KEY", headers={"X-Key": "env:THE_KEY"})
        assert isinstance(ask_all(teacher, ledger, ["x"])[0][0], Reply)
        assert stats(server)["keys"] == [f"Bearer {SECRET}"]
    ledger.close()
    assert all(isinstance(error, TeacherError) for error in errors)
    seen = "".join(f"{error}{error!r}{error.__cause__!r}{error.__dict__}" for error in errors) + caplog.text + repr(teacher)
    assert SECRET not in seen
    assert "***" in seen
    for file in tmp_path.rglob("*"):
        assert SECRET.encode() not in file.read_bytes()
