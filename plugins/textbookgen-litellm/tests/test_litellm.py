"""The teacher `litellm/chat` against a loopback server, and litellm's tables of models and keys."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from textbookgen_litellm import LiteLLMTeacher, teachers
from textbookgen_litellm.model_info import (
    _KEY_VARIABLES,
    _STANDARD_VARIABLE,
    _package,
    key_variables,
    model_info,
    similar_models,
)

from textbookgen.api.errors import RequestRefused, TeacherBusy, TeacherError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Price, Reply, Request

SERVER = Path(__file__).parents[3] / "benchmarks" / "chat_server.py"
SECRET = "sk-textbookgen-secret-4711"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def ask(teacher: LiteLLMTeacher, *prompts: str, **more) -> list[Reply | TeacherError]:
    async def run() -> list[Reply | TeacherError]:
        requests = [Request((Message("user", prompt),), **more) for prompt in prompts]
        replies = await asyncio.gather(*map(teacher.complete, requests), return_exceptions=True)
        await teacher.close()
        return replies

    return asyncio.run(run())


def asked(server: str) -> dict[str, int]:
    with urlopen(f"{server}/stats") as stats:
        return json.load(stats)["requests"]


def test_the_teacher_replies_and_can_be_used_again_after_close(server: str) -> None:
    teacher = LiteLLMTeacher(model="openai/gpt-4o-mini", api_base=f"{server}/v1")
    first, *_ = ask(teacher, "hello", "and another")
    (again,) = ask(teacher, "hello")
    assert first == again
    assert first.finish == "stop"
    assert (first.tokens_in, first.tokens_out) == (2, 121)
    assert first.cost_usd == pytest.approx((2 * 0.15 + 121 * 0.6) / 1e6)


CUES = [
    ("<<429>>", TeacherBusy, 0.0, None),
    ("<<429x9@7>>", TeacherBusy, 7.0, None),
    ("<<500>>", TeacherBusy, None, None),
    ("<<503x9@2>>", TeacherBusy, 2.0, None),
    ("<<drop>>", TeacherBusy, None, ConnectionResetError),
    ("<<half>>", TeacherBusy, None, ConnectionResetError),
    ("<<malformed>>", TeacherBusy, None, ValueError),
    ("<<empty>>", TeacherBusy, None, ValueError),
    ("<<hang>>", TeacherBusy, None, TimeoutError),
    ("<<400>>", RequestRefused, None, None),
    ("<<403>>", RequestRefused, None, None),
    ("<<401>>", TeacherError, None, None),
    ("<<404>>", TeacherError, None, None),
]


@pytest.mark.parametrize(("cue", "kind", "wait", "cause"), CUES)
def test_each_failure_is_translated_and_sent_once(server: str, cue: str, kind, wait, cause) -> None:
    (failure,) = ask(LiteLLMTeacher(model="openai/x", api_base=f"{server}/v1", timeout=0.5), cue)
    assert type(failure) is kind
    assert getattr(failure, "retry_after", None) == wait
    assert type(failure.__cause__) is (cause or type(None))
    assert asked(server)[cue] == 1


def test_a_refused_connection_is_retryable_and_not_charged() -> None:
    (failure,) = ask(LiteLLMTeacher(model="openai/x", api_base="http://127.0.0.1:1/v1"), "x")
    assert isinstance(failure, TeacherBusy)
    assert isinstance(failure.__cause__, ConnectionRefusedError)


def test_a_truncated_reply_finishes_with_length(server: str) -> None:
    (reply,) = ask(LiteLLMTeacher(model="openai/x", api_base=f"{server}/v1"), "<<truncate>>")
    assert reply.finish == "length"


def test_the_providers_key_is_not_sent_to_a_self_hosted_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("MINE", "mine")
    request = Request((Message("user", "x"),))
    own = LiteLLMTeacher(model="openai/x", api_base="http://localhost/v1")
    assert own.arguments(request)["api_key"] == "none"
    named = own.model_copy(update={"api_key_env": "MINE"})
    assert named.arguments(request)["api_key"] == "mine"
    assert "api_key" not in LiteLLMTeacher(model="openai/x").arguments(request)


@pytest.mark.parametrize("variable", ["KEY", "OPENAI_API_KEY"])
def test_keys_are_masked_in_error_messages(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, SECRET)
    option = None if variable == "OPENAI_API_KEY" else variable
    teacher = LiteLLMTeacher(model="openai/x", api_key_env=option, extra={"mock_response": Exception(f"bad key {SECRET}")})
    (failure,) = ask(teacher, "x")
    assert isinstance(failure, TeacherError)
    assert SECRET not in str(failure) + repr(failure.__cause__)
    assert failure.__suppress_context__


def test_the_arguments_hold_the_whole_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t")
    teacher = LiteLLMTeacher(
        model="openai/o3-mini",
        max_tokens=7,
        reasoning_effort="low",
        extra={"seed": 1},
        headers={"X-A": "b", "X-T": "env:TOKEN"},
    )
    arguments = teacher.arguments(Request((Message("system", "s"), Message("user", "u")), schema={"type": "object"}))
    assert arguments["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert (arguments["num_retries"], arguments["max_retries"], arguments["timeout"]) == (0, 0, 600.0)
    assert (arguments["max_tokens"], arguments["reasoning_effort"], arguments["seed"]) == (7, "low", 1)
    assert arguments["extra_headers"] == {"X-A": "b", "X-T": "t"}
    assert arguments["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "temperature" not in arguments


def test_a_temperature_is_sent_unless_the_model_accepts_none() -> None:
    request = Request((Message("user", "u"),), temperature=0.0)
    assert LiteLLMTeacher(model="openai/gpt-4o-mini", temperature=0.7).arguments(request)["temperature"] == 0.0
    assert "temperature" not in LiteLLMTeacher(model="openai/o3-mini").arguments(request)


def test_reasoning_and_cached_tokens_are_counted_and_priced() -> None:
    from litellm import ModelResponse
    from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper, Usage

    usage = Usage(
        prompt_tokens=1000,
        completion_tokens=500,
        total_tokens=1500,
        prompt_tokens_details=PromptTokensDetailsWrapper(cached_tokens=800),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=400),
    )
    answer = ModelResponse(choices=[{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}], usage=usage)
    reply = LiteLLMTeacher(model="o3-mini")._reply(answer, Request(()))
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.tokens_reasoning) == (1000, 800, 500, 400)
    assert reply.cost_usd == pytest.approx((200 * 1.1 + 800 * 0.55 + 500 * 4.4) / 1e6)
    priced = LiteLLMTeacher(model="o3-mini", price_in=1.0, price_out=2.0, price_cached=0.0)._reply(answer, Request(()))
    assert priced.cost_usd == pytest.approx((200 * 1 + 500 * 2) / 1e6)


def test_model_info_has_prices_and_capabilities() -> None:
    assert model_info("openai/gpt-4o-mini") == model_info("gpt-4o-mini")
    known = model_info("anthropic/claude-sonnet-4-5")
    assert known.provider == "anthropic"
    assert known.price == Price(3.0, 15.0, 0.3)
    assert known.supports_schema
    assert model_info("openai/claude-sonnet-4-5").price is None
    assert model_info("openai/my-own").provider == "openai"
    assert model_info("gpt-4o-mimi").provider is None
    assert "gpt-4o-mini" in similar_models("gpt-4o-mimi")
    assert key_variables("hosted_vllm") == ()
    assert key_variables("xiaomi_mimo") == ("XIAOMI_MIMO_API_KEY",)


def test_litellm_reads_the_listed_key_variables() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in _package().rglob("*.py") if "proxy" not in file.parts)
    variables = {each for provider in (*_KEY_VARIABLES, *_STANDARD_VARIABLE) for each in key_variables(provider)}
    assert {each for each in variables if each not in source} == set()


def diagnostics(monkeypatch: pytest.MonkeyPatch, **options) -> dict[str, str]:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    return {diagnostic.place: f"{diagnostic.problem} {diagnostic.hint}" for diagnostic in LiteLLMTeacher(**options).check()}


def test_check_reports_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "OPENAI_API_KEY" in diagnostics(monkeypatch, model="gpt-4o-mini")["api_key_env"]
    assert "GEMINI_API_KEY" in diagnostics(monkeypatch, model="gemini/gemini-2.5-flash")["api_key_env"]
    assert "MINE" in diagnostics(monkeypatch, model="gpt-4o-mini", api_key_env="MINE")["api_key_env"]
    assert "gpt-4o-mini" in diagnostics(monkeypatch, model="gpt-4o-mimi")["model"]
    assert "temperature" in diagnostics(monkeypatch, model="openai/o3-mini", temperature=0.5)
    assert "price" in diagnostics(monkeypatch, model="ollama/x", budget_usd=1.0)["budget_usd"]
    assert diagnostics(monkeypatch, model="openai/x", api_base="http://localhost/v1") == {}
    assert diagnostics(monkeypatch, model="ollama/x", budget_usd=1.0, price_in=1, price_out=1, max_tokens=10) == {}


def test_check_does_not_import_litellm() -> None:
    code = """
import sys
from textbookgen_litellm import LiteLLMTeacher
teacher = LiteLLMTeacher(model="gpt-4o-mini", budget_usd=1.0)
list(teacher.check()); teacher.price(); teacher.max_output_tokens()
assert not {"litellm", "openai", "httpx", "aiohttp"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_requests_print_nothing_and_fetch_no_prices(server: str) -> None:
    code = f"""
import asyncio, socket
from textbookgen.api.errors import RequestRefused
from textbookgen.api.teacher import Request
from textbookgen.api.message import Message
from textbookgen_litellm import LiteLLMTeacher
connect, seen = socket.socket.connect, set()
socket.getaddrinfo = lambda host, *rest, old=socket.getaddrinfo, **more: seen.add(host) or old(host, *rest, **more)
async def run():
    teacher = LiteLLMTeacher(model="openai/x", api_base="{server}/v1")
    for prompt in ("silence", "<<400>>"):
        try:
            await teacher.complete(Request((Message("user", prompt),)))
        except RequestRefused:
            pass
    await teacher.close()
asyncio.run(run())
assert seen <= {{"127.0.0.1", b"127.0.0.1", None}}, seen
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_plugin_provides_one_teacher_whose_options_are_described() -> None:
    assert teachers() == (LiteLLMTeacher,)
    assert all(field.description for field in LiteLLMTeacher.model_fields.values())
