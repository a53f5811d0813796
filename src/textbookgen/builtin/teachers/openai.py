"""The teacher `openai`: servers with an OpenAI-compatible chat API (vLLM, SGLang, llama.cpp, TGI), with minimal overhead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Labels, Runtime
from textbookgen.api.chat_teacher import ChatTeacher
from textbookgen.api.errors import Diagnostic, RequestRefused, TeacherBusy, TeacherError
from textbookgen.api.teacher import Finish, Price, Reply, Request

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

#: Temporary failures, worth a retry.
_RETRYABLE = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
#: Invalid key, no credit, unknown model or path: these fail every request.
_FATAL = frozenset((401, 402, 404, 405))
_FATAL_HINTS = {
    402: "add credit or raise the limit at the provider, then run the same command again: received replies are reused",
    404: "check that `model` is the name the server uses, and `api_base` its address up to and including `/v1`",
    405: "check that `api_base` is the address up to and including `/v1`",
}
_FINISH: dict[str | None, Finish] = {"length": "length", "content_filter": "filter"}
#: An endpoint that failed this often in a row is skipped for a while (in seconds), which doubles with each further failure.
_MAX_FAILURES, _MIN_COOLDOWN, _MAX_COOLDOWN = 3, 1.0, 60.0
#: Seconds until idle connections are closed: before servers do so (uvicorn: 5 s), since a request sent meanwhile is lost.
_KEEP_ALIVE = 4.0
#: A longer response is not a chat completion: a reply of a million tokens has some 10 MB.
MAX_RESPONSE_BYTES = 64 * 2**20
_MAX_ERROR_BYTES = 4096
_ADDRESS_HINT = "an address looks like http://localhost:8000/v1"


@dataclass
class _Endpoint:
    """One address of the model, and its state as a circuit breaker."""

    url: str
    proxy: str | None = None
    in_flight: int = 0
    failures: int = 0
    skipped_until: float = 0.0

    def record_success(self) -> None:
        self.failures, self.skipped_until = 0, 0.0

    def record_failure(self, *, unreachable: bool) -> None:
        self.failures = max(self.failures + 1, _MAX_FAILURES if unreachable else 0)
        if self.failures >= _MAX_FAILURES:
            cooldown = _MIN_COOLDOWN * 2.0 ** min(self.failures - _MAX_FAILURES, 16)
            self.skipped_until = time.monotonic() + min(cooldown, _MAX_COOLDOWN)


class _TokenCounts(NamedTuple):
    """Tokens of the prompt, of these cached, of the reply, and of these reasoning."""

    prompt: int
    cached: int
    reply: int
    reasoning: int


class OpenAITeacher(ChatTeacher):
    """A model behind an OpenAI-compatible chat API, self-hosted or at a provider.

    With several addresses, each request goes to the one with the fewest requests in flight. An address that is unreachable,
    or fails three times in a row, is skipped for 1, 2, 4, … up to 60 seconds.
    """

    name = "openai"

    api_base: Annotated[Labels, Runtime] = Field(
        description="address of the server up to and including `/v1`, or a list of addresses that serve the same model"
    )

    _endpoints: list[_Endpoint] = PrivateAttr(default_factory=list)
    _session: ClientSession | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Yield malformed addresses, and what all chat teachers check."""
        for base in self.api_base:
            if not base.startswith(("http://", "https://")):
                yield Diagnostic("api_base", f"{base!r} is not an HTTP address", _ADDRESS_HINT)
        if not self.api_base:
            yield Diagnostic("api_base", "the list of addresses is empty", _ADDRESS_HINT)
        yield from super().check()

    def price(self) -> Price | None:
        """Return the price set in the recipe; without a price and without a key, the server is self-hosted and free."""
        free = self.price_in is None and self.price_out is None and not self.api_key_env
        return Price(0.0, 0.0) if free else super().price()

    async def complete(self, request: Request) -> Reply:
        """Send the request to the least busy endpoint."""
        import aiohttp

        session = self._session or self._open_session()
        endpoint = self._least_busy()
        endpoint.in_flight += 1
        try:
            body = json.dumps(self.body(request)).encode()
            async with session.post(endpoint.url, data=body, proxy=endpoint.proxy, allow_redirects=False) as response:
                content = await _read(response)
                if response.status != 200:
                    raise self._error(response, content)
            reply = self._reply(content, request)
        except (TeacherBusy, TimeoutError):
            endpoint.record_failure(unreachable=False)
            raise
        except aiohttp.ClientConnectorError as error:
            endpoint.record_failure(unreachable=True)
            problem, hint = f"{self.model}: {error}", "check that the server is running and that `api_base` is its address"
            raise TeacherBusy(problem, hint=hint) from ConnectionRefusedError(str(error))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            endpoint.record_failure(unreachable=False)
            raise TeacherBusy(f"{self.model}: connection lost: {error}") from ConnectionResetError(str(error))
        except aiohttp.ClientError as error:
            raise RequestRefused(f"{self.model}: {error}") from error
        finally:
            endpoint.in_flight -= 1
        endpoint.record_success()
        return reply

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> ClientSession:
        """Open a session in the running event loop. It has no connection limit: the rate limiter alone sets one."""
        import aiohttp

        headers = {"Content-Type": "application/json"} | self.resolved_headers()
        if key := self.api_key():
            headers.setdefault("Authorization", f"Bearer {key}")
        self._endpoints = [_Endpoint(base.rstrip("/") + "/chat/completions", _proxy(base)) for base in self.api_base]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            headers=headers,
        )
        return self._session

    def _least_busy(self) -> _Endpoint:
        now = time.monotonic()
        return min(self._endpoints, key=lambda endpoint: (max(0.0, endpoint.skipped_until - now), endpoint.in_flight))

    def _error(self, response: ClientResponse, content: bytes) -> TeacherError:
        """Return the error that a status other than 200 means: retryable, of this request, or of every request."""
        status, message = response.status, self._error_message(content)
        problem = f"{self.model}: HTTP {status}: {message or response.reason}"
        if status in _FATAL or "insufficient_quota" in message:
            return TeacherError(problem, hint=self._fatal_hint(status))
        if 300 <= status < 400:
            location = response.headers.get("Location", "an unnamed address")
            return TeacherError(f"{problem} (redirects to {location})", hint="set `api_base` to the new address")
        if status not in _RETRYABLE:
            return RequestRefused(problem)
        wait = _retry_after(response.headers)
        return TeacherBusy(problem, retry_after=0.0 if wait is None and status == 429 else wait)

    def _fatal_hint(self, status: int) -> str:
        if status == 401:
            variable = self.api_key_env
            return f"check the API key in {variable}" if variable else "set `api_key_env` to the variable with the API key"
        return _FATAL_HINTS.get(status, _FATAL_HINTS[402])

    def _error_message(self, content: bytes) -> str:
        """Return the server's error message, at most 500 characters, with secrets masked."""
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            body = content[:_MAX_ERROR_BYTES].decode("utf-8", "replace")
        error = body.get("error", body) if isinstance(body, dict) else body
        message = json.dumps(error) if isinstance(error, dict | list) else str(error)
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            message = f"{error['message']} ({error['code']})" if error.get("code") else error["message"]
        return self.mask_secrets(message)[:500]

    def _reply(self, content: bytes, request: Request) -> Reply:
        try:
            body = json.loads(content)
            if not body.get("choices"):
                raise ValueError(f"it has no choices: {self._error_message(content)}")
            choice = body["choices"][0]
            return self._read_choice(choice["message"], choice.get("finish_reason"), body.get("usage"), request)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            cause = ValueError(str(error))
            raise TeacherBusy(f"{self.model}: the response is not a chat completion: {error}") from cause

    def _read_choice(self, message: Mapping[str, Any], finish: str | None, usage: Any, request: Request) -> Reply:
        text = message.get("content") or ""
        if isinstance(text, list):
            text = "".join(part.get("text", "") for part in text)
        if not text and message.get("refusal"):
            text, finish = message["refusal"], "content_filter"
        text = text.encode("utf-8", "replace").decode() if not text.isascii() else text
        tokens = _reported_tokens(usage) if usage and isinstance(usage, Mapping) else _upper_bound(request, text)
        price = self.price()
        cost = price.cost(tokens.prompt, tokens.reply, tokens.cached) if price else 0.0
        return Reply(text, tokens.prompt, tokens.reply, cost, _FINISH.get(finish, "stop"), tokens.cached, tokens.reasoning)


async def _read(response: ClientResponse) -> bytes:
    """Return the body, decompressed, at most MAX_RESPONSE_BYTES of it.

    Raises:
        TeacherBusy: the body is longer.
    """
    content = bytearray()
    async for block in response.content.iter_any():
        content += block
        if len(content) > MAX_RESPONSE_BYTES:
            response.close()
            problem = f"the response is longer than {MAX_RESPONSE_BYTES / 2**20:g} MiB"
            raise TeacherBusy(problem) from ValueError(problem)
    return bytes(content)


def _reported_tokens(usage: Mapping[str, Any]) -> _TokenCounts:
    """Return the counts as the server reports them; the caller of the teacher checks that they are possible."""
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    return _TokenCounts(_count(usage.get("prompt_tokens")), cached, _count(usage.get("completion_tokens")), reasoning)


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, Mapping) else 0


def _count(value: Any) -> int:
    """Return a reported count: 0 if there is none, and -1, which no count can be, for what is not a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0 if value is None else -1


def _upper_bound(request: Request, text: str) -> _TokenCounts:
    """Return counts for a server that reports none: one token a byte, so that a budget is not exceeded unnoticed."""
    return _TokenCounts(
        sum(len(message.content.encode("utf-8", "replace")) for message in request.messages), 0, len(text.encode()), 0
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the wait that the server asks for, in seconds: `Retry-After` is a number of seconds or a date (RFC 9110)."""
    if milliseconds := headers.get("retry-after-ms"):
        return _parse_seconds(milliseconds, 0.001)
    value = headers.get("Retry-After")
    if not value:
        return None
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return _parse_seconds(value, 1.0)


def _parse_seconds(text: str, unit: float) -> float | None:
    try:
        return max(0.0, float(text) * unit)
    except ValueError:
        return None


def _proxy(base: str) -> str | None:
    """Return the proxy that the environment sets for an address; looked up once, since each look-up is slow."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    address = urlsplit(base)
    if address.hostname in (None, "localhost", "127.0.0.1", "::1") or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(address.scheme)
