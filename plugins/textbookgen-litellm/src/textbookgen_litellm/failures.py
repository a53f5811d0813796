"""What litellm's exceptions mean: ask again, never ask this, or (a plain TeacherError) ask nothing at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from textbookgen import RequestRefused, TeacherBusy
from textbookgen.api.errors import TeacherError

_PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
#: No key, no money, no such model or address: what is said to one request is said to all.
_FOR_ALL = frozenset((401, 402, 404, 405))
_NO_CONNECTION = (
    "connection refused",
    "cannot connect",
    "connect call failed",
    "connection attempts failed",
    "name or service",
)
_NO_MONEY = ("insufficient_quota", "check your plan and billing")


def turned(error: Exception, model: str, secret: str | None) -> TeacherError:
    """The house's error for one of litellm's, without the key.

    The `__cause__` of a Busy says whether the request may have been worked, and so paid for: it then is a TimeoutError, a
    ConnectionResetError or a ValueError.
    """
    told = str(error).replace(secret, "***") if secret else str(error)
    problem = f"{model}: {told.splitlines()[0][:500] if told else type(error).__name__}"
    kind, status = type(error).__name__, getattr(error, "status_code", None)
    if kind == "Timeout":
        return _because(TeacherBusy(problem), TimeoutError(told[:200]))
    if status in _FOR_ALL or (status == 429 and any(word in told.lower() for word in _NO_MONEY)):
        return TeacherError(problem, hint=_hint(kind, status))
    if status == 429:
        wait = _retry_after(error)
        return TeacherBusy(problem, retry_after=0.0 if wait is None else wait)
    if _lost(error):
        refused = any(words in _chain(error).lower() for words in _NO_CONNECTION)
        return _because(TeacherBusy(problem), ConnectionRefusedError() if refused else ConnectionResetError())
    if any(isinstance(item, ValueError) for item in _causes(error)):
        return _because(TeacherBusy(problem), ValueError("the reply is no JSON"))
    if status in _PASSING:
        return TeacherBusy(problem, retry_after=_retry_after(error))
    return RequestRefused(problem, hint=_hint(kind, status))


def _because(busy: TeacherBusy, cause: Exception) -> TeacherBusy:
    busy.__cause__ = cause
    return busy


def _hint(kind: str, status: Any) -> str:
    if status == 401:
        return "the provider does not take the key; `api_key_env` names the variable that holds it"
    if kind == "ContextWindowExceededError":
        return "the prompt is longer than the model can read"
    if kind == "UnsupportedParamsError":
        return "leave out the sampling option that this model does not take"
    return ""


def _lost(error: BaseException) -> bool:
    """Whether a connection was lost or never made; litellm calls some of these server errors, so the causes are looked at."""
    names = {type(item).__name__ for item in _causes(error)}
    return bool(names & {"APIConnectionError", "ConnectError", "ReadError", "RemoteProtocolError", "ServerDisconnectedError"})


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    item: BaseException | None = error
    while item is not None and item not in causes:
        causes.append(item)
        item = item.__cause__ or item.__context__
    return causes


def _chain(error: BaseException) -> str:
    return " ".join(str(item) for item in _causes(error))


def _retry_after(error: Exception) -> float | None:
    """The wait that the provider wishes, in seconds."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", None) or {}
    more: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    wished = headers.get("retry-after") or more.get("retry-after")
    if not wished:
        return None
    try:
        return max(0.0, float(wished))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(wished).timestamp() - time.time())
    except ValueError:
        return None
