"""The teacher `openai`: servers that speak OpenAI's chat API (vLLM, SGLang, llama.cpp, TGI), asked with little ado."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Labels, Runtime
from textbookgen.api.chat_teacher import ChatTeacher
from textbookgen.api.errors import Diagnostic, RequestRefused, TeacherBusy, TeacherError
from textbookgen.api.teacher import Finish, Price, Reply, Request

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
#: No key, no money, no such model or address: what is said to one request is said to all.
_FOR_ALL = frozenset((401, 402, 404, 405))
_FINISH: dict[str | None, Finish] = {"length": "length", "content_filter": "filter"}
#: A server that failed so many times in a row is rested, first so many seconds, then twice as long each time.
_FAILURES, _FIRST_REST, _LONGEST_REST = 3, 1.0, 60.0
#: Idle connections are let go before servers do so (uvicorn after 5 s): a request on a closing one would be lost.
_KEEP_ALIVE = 4.0


@dataclass
class _Server:
    """One address, and how it has been doing."""

    url: str
    proxy: str | None = None
    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0

    def did_well(self) -> None:
        self.failures, self.rests_until = 0, 0.0

    def failed(self, *, gone: bool) -> None:
        self.failures = max(self.failures + 1, _FAILURES if gone else 0)
        if self.failures >= _FAILURES:
            rest = _FIRST_REST * 2.0 ** min(self.failures - _FAILURES, 16)
            self.rests_until = time.monotonic() + min(rest, _LONGEST_REST)


class OpenAI(ChatTeacher):
    """A model on servers of one's own, or on any that speak OpenAI's chat API.

    Several addresses share the work: each request goes to the one with least to do. One that cannot be reached, or
    fails three times in a row, is rested and tried again.
    """

    name = "openai"

    api_base: Annotated[Labels, Runtime] = Field(
        description="address of the server up to and with `/v1`, or a list of addresses that serve the same model"
    )

    _servers: list[_Server] = PrivateAttr(default_factory=list)
    _session: ClientSession | None = PrivateAttr(None)
    _key: str | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Complains of addresses that are none, besides what all chat teachers complain of."""
        for base in self.api_base:
            if not base.startswith(("http://", "https://")):
                yield Diagnostic("api_base", f"{base!r} is no address", "it looks like http://localhost:8000/v1")
        if not self.api_base:
            yield Diagnostic("api_base", "no address is given", "it looks like http://localhost:8000/v1")
        yield from super().check()

    def price(self) -> Price | None:
        """The price that the recipe gives; a server of one's own, for which it gives none, is free."""
        free = self.price_in is None and self.price_out is None and not self.api_key_env
        return Price(0.0, 0.0) if free else super().price()

    async def complete(self, request: Request) -> Reply:
        """Asks the server that has least to do."""
        import aiohttp

        session = self._session or self._open()
        server = self._least_busy()
        server.under_way += 1
        try:
            body = json.dumps(self.body(request)).encode()
            async with session.post(server.url, data=body, proxy=server.proxy, allow_redirects=False) as response:
                text = await response.read()
                if response.status != 200:
                    raise self._failure(response, text)
            reply = self._reply(text, request)
        except (TeacherBusy, TimeoutError):
            server.failed(gone=False)
            raise
        except aiohttp.ClientConnectorError as error:
            server.failed(gone=True)
            raise TeacherBusy(f"{self.model}: {error}", hint="is the server running?") from ConnectionRefusedError(str(error))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError) as error:
            server.failed(gone=False)
            raise TeacherBusy(f"{self.model}: the connection was lost: {error}") from ConnectionResetError(str(error))
        except aiohttp.ClientError as error:
            raise RequestRefused(f"{self.model}: {error}") from error
        finally:
            server.under_way -= 1
        server.did_well()
        return reply

    async def close(self) -> None:
        """Lets go of all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> ClientSession:
        """Opens the session, in the event loop that will use it; the gate alone says how many requests there are."""
        import aiohttp

        self._key = self.key()
        headers = {"Content-Type": "application/json"} | self.sent_headers()
        if self._key:
            headers.setdefault("Authorization", f"Bearer {self._key}")
        self._servers = [_Server(base.rstrip("/") + "/chat/completions", _proxy(base)) for base in self.api_base]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            headers=headers,
        )
        return self._session

    def _least_busy(self) -> _Server:
        now = time.monotonic()
        return min(self._servers, key=lambda server: (max(0.0, server.rests_until - now), server.under_way))

    def _failure(self, response: ClientResponse, text: bytes) -> TeacherError:
        """What a reply other than 200 means: ask again, never ask this, or (TeacherError) ask nothing at all."""
        status, told = response.status, self._told(text)
        problem = f"{self.model}: HTTP {status}: {told or response.reason}"
        if status in _FOR_ALL or "insufficient_quota" in told:
            return TeacherError(problem, hint=self._hint(status))
        if 300 <= status < 400:
            return TeacherError(f"{problem} (moved to {response.headers.get('Location', 'nowhere')})", hint="change `api_base`")
        if status not in _PASSING:
            return RequestRefused(problem)
        wait = _retry_after(response.headers)
        return TeacherBusy(problem, retry_after=0.0 if wait is None and status == 429 else wait)

    def _hint(self, status: int) -> str:
        if status == 401:
            return f"the key is in {self.api_key_env}" if self.api_key_env else "name the key's variable with `api_key_env`"
        return (
            "is `model` the name that the server knows, and `api_base` its address up to and with /v1?" if status == 404 else ""
        )

    def _told(self, text: bytes) -> str:
        """The server's own words for what is wrong, without the key."""
        try:
            answer = json.loads(text)
        except ValueError:
            answer = text.decode("utf-8", "replace")
        error = answer.get("error", answer) if isinstance(answer, dict) else answer
        told = json.dumps(error) if isinstance(error, dict | list) else str(error)
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            told = f"{error['message']} ({error['code']})" if error.get("code") else error["message"]
        return (told.replace(self._key, "***") if self._key else told)[:500]

    def _reply(self, text: bytes, request: Request) -> Reply:
        try:
            answer = json.loads(text)
            if not answer.get("choices"):
                raise ValueError(f"it has no choices: {self._told(text)}")
            choice = answer["choices"][0]
            return self._read(choice["message"], choice.get("finish_reason"), answer.get("usage"), request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            unread = ValueError(str(error))
            raise TeacherBusy(f"{self.model}: the reply is no chat completion: {error}") from unread

    def _read(self, message: Mapping[str, Any], finish: str | None, usage: Any, request: Request) -> Reply:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        if not content and message.get("refusal"):
            content, finish = message["refusal"], "content_filter"
        content = content.encode("utf-8", "replace").decode() if not content.isascii() else content
        read, cached, written, thought = _tokens(usage) if usage else _guessed(request, content)
        price = self.price()
        cost = price.cost(read, written, cached) if price else 0.0
        return Reply(content, read, written, cost, _FINISH.get(finish, "stop"), cached, thought)


def _tokens(usage: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Tokens read, of these cached, written, and of these thought."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return usage.get("prompt_tokens") or 0, cached, usage.get("completion_tokens") or 0, thought


def _guessed(request: Request, content: str) -> tuple[int, int, int, int]:
    """Tokens of a reply whose server does not count them: a byte each, the most there can be, so that no budget is passed."""
    return sum(len(turn.content.encode()) for turn in request.messages), 0, len(content.encode()), 0


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait that the server wishes, in seconds: `Retry-After` is a number of them, or a date."""
    if wished := headers.get("retry-after-ms"):
        return _number(wished, 0.001)
    wished = headers.get("Retry-After")
    if not wished:
        return None
    try:
        return max(0.0, parsedate_to_datetime(wished).timestamp() - time.time())
    except ValueError:
        return _number(wished, 1.0)


def _number(text: str, unit: float) -> float | None:
    try:
        return max(0.0, float(text) * unit)
    except ValueError:
        return None


def _proxy(base: str) -> str | None:
    """The proxy that the environment names for an address; asked once, since asking for each request is slow."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    address = urlsplit(base)
    if address.hostname in (None, "localhost", "127.0.0.1", "::1") or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(address.scheme)
