"""Ledger records: one stored reply with its request, totals by teacher, and requests as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from textbookgen.api.message import Message
from textbookgen.api.teacher import Reply, Request


@dataclass(frozen=True)
class LedgerEntry:
    """One reply with its request.

    Attributes:
        key: the ledger key, 64 hexadecimal digits.
        teacher: the teacher's identity: `use`, `version`, `options`, and `digest` and `reads_draw` where they apply.
        at: when the reply was received, in UTC.
    """

    key: str
    request: Request
    reply: Reply
    teacher: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class TeacherTotals:
    """Totals over all replies of one teacher; `bytes` is the compressed size of requests and replies."""

    use: str
    options: Mapping[str, Any]
    replies: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    bytes: int


def request_to_dict(request: Request) -> dict[str, Any]:
    """Return a request as values that JSON can hold."""
    values: dict[str, Any] = {
        "messages": [[message.role, message.content] for message in request.messages],
        "draw": request.draw,
        "task": request.task,
        "sample": request.sample,
        "schema": request.schema,
    }
    return values if request.temperature is None else values | {"temperature": request.temperature}


def request_from_dict(values: Mapping[str, Any]) -> Request:
    """Return the request that `request_to_dict` converted."""
    messages = tuple(Message(role, content) for role, content in values["messages"])
    temperature = values.get("temperature")
    return Request(messages, values["task"], values["draw"], values["sample"], values["schema"], temperature)
