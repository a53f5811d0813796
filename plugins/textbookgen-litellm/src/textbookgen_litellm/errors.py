"""Translation of litellm's exceptions: retry, refuse this request, or (a plain TeacherError) stop the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from textbookgen import RequestRefused, TeacherBusy
from textbookgen.api.errors import TeacherError

#: Temporary failures, worth a retry.
_RETRYABLE = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
#: Invalid key, no credit, unknown model or path: these fail every request.
_FATAL = frozenset((401, 402, 404, 405))
_CONNECTION_ERRORS = frozenset(
    ("APIConnectionError", "ConnectError", "ReadError", "RemoteProtocolError", "ServerDisconnectedError")
)
#: Messages of connections that were never made, so that nothing was charged.
_NOT_CONNECTED = (
    "connection refused",
    "cannot connect",
    "connect call failed",
    "connection attempts failed",
    "name or service",
)
_NO_CREDIT = ("insufficient_quota", "check your plan and billing")


def translate_error(error: Exception, model: str, mask_secrets: Callable[[str], str]) -> TeacherError:
    """Return the TeacherError for an exception of litellm.

    The cause of a TeacherBusy says whether the provider may charge for the request, as `Teacher.complete` requires.

    Args:
        error: what litellm raised.
        model: the model's name, for the message.
        mask_secrets: masks API keys in a text.
    """
    message = mask_secrets(str(error))
    problem = f"{model}: {message.splitlines()[0][:500] if message else type(error).__name__}"
    kind, status = type(error).__name__, getattr(error, "status_code", None)
    if kind == "Timeout":
        return _with_cause(TeacherBusy(problem), TimeoutError(message[:200]))
    no_credit = status == 402 or (status == 429 and any(phrase in message.lower() for phrase in _NO_CREDIT))
    if status in _FATAL or no_credit:
        return TeacherError(problem, hint=_hint(kind, 402 if no_credit else status))
    if status == 429:
        wait = _retry_after(error)
        return TeacherBusy(problem, retry_after=0.0 if wait is None else wait)
    chain = _exception_chain(error)
    if {type(item).__name__ for item in chain} & _CONNECTION_ERRORS:  # litellm reports some of these as server errors
        messages = " ".join(map(str, chain)).lower()
        refused = any(phrase in messages for phrase in _NOT_CONNECTED)
        return _with_cause(TeacherBusy(problem), ConnectionRefusedError() if refused else ConnectionResetError())
    if any(isinstance(item, ValueError) for item in chain):
        return _with_cause(TeacherBusy(problem), ValueError("the response is not JSON"))
    if status in _RETRYABLE:
        return TeacherBusy(problem, retry_after=_retry_after(error))
    return RequestRefused(problem, hint=_hint(kind, status))


def _with_cause(busy: TeacherBusy, cause: Exception) -> TeacherBusy:
    busy.__cause__ = cause
    return busy


def _hint(kind: str, status: Any) -> str:
    if kind == "ContextWindowExceededError":
        return "the prompt is longer than the model's context window: shorten it, or use another model"
    if kind == "UnsupportedParamsError":
        return "remove the option that this model does not accept"
    return {
        401: "check the API key; `api_key_env` names the variable it is read from",
        402: "add credit or raise the limit at the provider, then run the same command again: received replies are reused",
        404: "check `model`, and `api_base` if it is set",
    }.get(status, "")


def _exception_chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    item: BaseException | None = error
    while item is not None and item not in chain:
        chain.append(item)
        item = item.__cause__ or item.__context__
    return chain


def _retry_after(error: Exception) -> float | None:
    """Return the wait that the provider asks for, in seconds: `Retry-After` is a number of seconds or a date (RFC 9110)."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    litellm_headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    value = headers.get("retry-after") or litellm_headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
