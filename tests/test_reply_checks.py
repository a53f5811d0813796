"""What servers and teachers say of usage is bounded at the edge: a paid reply is stored, counted once and never negative."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textbookgen.api.errors import BudgetExceeded, TeacherBusy, TeacherError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request, Teacher
from textbookgen.builtin.teachers import openai
from textbookgen.builtin.teachers.openai import OpenAITeacher
from textbookgen.llm import Client
from textbookgen.llm.reply_checks import MAX_TOKENS, checked_reply, max_input_tokens
from textbookgen.storage.ledger import Ledger

REQUEST = Request((Message("user", "Write about a fox."),))
USAGES: list[Any] = [
    {"prompt_tokens": 2**63, "completion_tokens": 2**70},
    {"prompt_tokens": -5, "completion_tokens": -(10**12)},
    {"prompt_tokens": "many", "completion_tokens": [1]},
    {"prompt_tokens": math.nan, "completion_tokens": math.inf},
    {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -(10**9)}},
    {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}},
    {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 10**30}},
    {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": "none"},
    {"prompt_tokens": 1.5, "completion_tokens": True},
    [1, 2],
    "usage",
    7,
]


class Server(BaseHTTPRequestHandler):
    """Answers every request with one body."""

    body: bytes
    encoding = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.encoding:
            self.send_header("Content-Encoding", self.encoding)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        try:
            self.wfile.write(self.body)
        except OSError:
            pass  # the client has read enough

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture
def serve() -> Iterator[Any]:
    """A function that serves a body, and returns a teacher that asks the server."""
    running: list[ThreadingHTTPServer] = []

    def start(body: bytes, encoding: str = "", **options: Any) -> OpenAITeacher:
        handler = type("Handler", (Server,), {"body": body, "encoding": encoding})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        address = f"http://127.0.0.1:{server.server_port}/v1"
        return OpenAITeacher(model="m", api_base=(address,), max_retries=0, **options)

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def completion(usage: Any) -> bytes:
    reply = {"choices": [{"message": {"content": "A fox ran."}, "finish_reason": "stop"}], "usage": usage}
    return json.dumps(reply).encode()


def ask(teacher: Teacher, folder: Path, count: int = 1) -> list[Any]:
    """Return the answers or errors of some requests, and close the ledger."""

    async def run() -> list[Any]:
        ledger = Ledger(folder / "ledger.sqlite")
        try:
            async with Client(teacher, teacher.name, ledger) as client:
                requests = [Request(REQUEST.messages, sample=number) for number in range(count)]
                return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
        finally:
            ledger.close()

    return asyncio.run(run())


@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_a_paid_reply_is_stored_whatever_its_usage_says(serve: Any, tmp_path: Path, usage: Any) -> None:
    teacher = serve(completion(usage), price_in=1.0, price_out=2.0)
    (answer,) = ask(teacher, tmp_path)
    assert answer.reply.text == "A fox ran."
    assert 0 <= answer.reply.tokens_in <= MAX_TOKENS and 0 <= answer.reply.tokens_out <= MAX_TOKENS
    assert 0 < answer.reply.cost_usd < 0.001
    (again,) = ask(teacher, tmp_path)
    assert again.from_ledger and again.reply == answer.reply


def test_negative_usage_does_not_refill_a_budget(serve: Any, tmp_path: Path) -> None:
    body = completion({"prompt_tokens": -1_000_000, "completion_tokens": -1_000_000})
    teacher = serve(body, price_in=1.0, price_out=1.0, max_tokens=100, budget_usd=0.0005, max_parallel=1)
    answers = ask(teacher, tmp_path, count=30)
    paid = [answer.reply.cost_usd for answer in answers if not isinstance(answer, Exception)]
    assert 0 < sum(paid) <= 0.0005
    assert {type(answer) for answer in answers if isinstance(answer, Exception)} == {BudgetExceeded}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 50_000 + b"]" * 50_000,
        b'{"choices": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"choices": {}}',
        b"null",
        b"\xff",
    ],
    ids=["nested list", "nested choices", "no list", "null", "no text"],
)
def test_a_malformed_body_fails_its_request_only(serve: Any, tmp_path: Path, body: bytes) -> None:
    (error,) = ask(serve(body), tmp_path)
    assert isinstance(error, TeacherBusy) and "not a chat completion" in error.problem


def test_a_compressed_bomb_is_not_decompressed_whole(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "MAX_RESPONSE_BYTES", 2**20)
    body = gzip.compress(b" " * 2**25)
    (error,) = ask(serve(body, "gzip"), tmp_path)
    assert isinstance(error, TeacherBusy) and "longer than 1 MiB" in error.problem


@pytest.mark.parametrize("value", ["text", None, ("a", 1), Reply(None), Reply(b"bytes")], ids=repr)  # type: ignore[arg-type]
def test_a_teacher_that_returns_no_reply_is_named(value: Any) -> None:
    with pytest.raises(TeacherError, match=r"`other/teacher` returned .* instead of a Reply with a text"):
        checked_reply(value, REQUEST, None, "other/teacher")


def test_possible_usage_is_left_as_it_is() -> None:
    reply = Reply("fox", 100, 50, 0.25, "length", 40, 20)
    assert checked_reply(reply, REQUEST, Price(1, 1), "t") == (reply, "")


numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))


@given(numbers, numbers, numbers, numbers, numbers, st.text(max_size=8))
def test_whatever_is_reported_counts_are_possible(
    tokens_in: Any, tokens_out: Any, cost: Any, cached: Any, reasoning: Any, finish: Any
) -> None:
    reported = Reply("fox", tokens_in, tokens_out, cost, finish, cached, reasoning)
    reply, _ = checked_reply(reported, REQUEST, Price(3, 4), "t")
    assert reply.text == "fox"
    assert 0 <= reply.tokens_cached <= reply.tokens_in <= MAX_TOKENS
    assert 0 <= reply.tokens_reasoning <= reply.tokens_out <= MAX_TOKENS
    assert math.isfinite(reply.cost_usd) and reply.cost_usd >= 0
    assert reply.finish in ("stop", "length", "filter")
    assert max_input_tokens(REQUEST) >= len(REQUEST.messages[0].content)
