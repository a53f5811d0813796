"""Keys: who is asked and what, as one name under which the reply is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from textbookgen.api.annotations import Input, Runtime, options_with
from textbookgen.api.errors import RunError
from textbookgen.api.teacher import Request, Teacher


def _plain(value: Any) -> Any:
    """Mappings that are no dict, for the JSON encoder; anything else has no stable form."""
    if isinstance(value, Mapping):
        return dict(value)
    raise RunError(
        f"a draw holds {value!r}, a {type(value).__name__}, which has no stable form in JSON",
        hint="draw texts, numbers, booleans, lists and mappings of these",
    )


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no blanks.

    Raises:
        RunError: the value has no stable JSON.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise RunError(f"a value has no stable form in JSON: {error}") from error


def identity(teacher: Teacher, use: str) -> str:
    """Who is asked, as canonical JSON: its name, its version, and the options that make its replies what they are.

    Options left at their defaults are not named, so that a plugin may gain options without losing its paid replies.
    Neither is what an option calls a stage: two recipes may call two models by one label. The teacher's digest tells them
    apart.
    """
    left_out = {name for mark in (type(Runtime), Input) for name, _ in options_with(type(teacher), mark)}
    options = teacher.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
    who = {"use": use, "version": teacher.version, "options": options}
    if digest := teacher.digest():
        who["digest"] = digest
    if getattr(teacher, "reads_draw", False):
        who["reads_draw"] = True
    return canonical(who)


def key_of(who: str, request: Request, *, reads_draw: bool) -> str:
    """The key of a request to the teacher of this identity; `task` and `draw` count only if it reads them."""
    asked: list[Any] = [[[turn.role, turn.content] for turn in request.messages], request.sample, request.schema]
    if reads_draw:
        asked += [request.task, request.draw]
    return sha256(f"{who}\n{canonical(asked)}".encode()).hexdigest()


def request_key(teacher: Teacher, use: str, request: Request) -> str:
    """The key of a request: SHA-256 of who is asked and what. The same key has the same reply, which is paid for once.

    Teachers whose class says `reads_draw = True` are programs that work from `task` and `draw`, so these count; for
    others only messages, sample and schema do.
    """
    return key_of(identity(teacher, use), request, reads_draw=getattr(teacher, "reads_draw", False))
