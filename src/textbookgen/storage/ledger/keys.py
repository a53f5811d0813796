"""Ledger keys: a hash of the teacher's identity and the request, under which the reply is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from textbookgen.api.annotations import Input, Runtime, options_with
from textbookgen.api.errors import RunError
from textbookgen.api.teacher import Request, Teacher


def _encode_mapping(value: Any) -> Any:
    """Convert mappings that are not dictionaries for the JSON encoder; reject everything else."""
    if isinstance(value, Mapping):
        return dict(value)
    raise RunError(
        f"cannot write {value!r} ({type(value).__name__}) as JSON, so the request has no ledger key",
        hint="a draw may contain strings, numbers, booleans, null, lists and mappings only",
    )


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_encode_mapping)


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of a value: ASCII, sorted keys, no whitespace. Equal values give equal text.

    Raises:
        RunError: the value cannot be written as JSON, or contains NaN or an infinity.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise RunError(f"cannot write a request as JSON, so it has no ledger key: {error}") from error


def teacher_identity(teacher: Teacher, use: str) -> str:
    """Return what identifies a teacher as canonical JSON: its name, version, digest and the options that shape its replies.

    Options at their defaults are left out, so that a plugin can add options without invalidating stored replies. So are
    `Runtime` options (addresses, keys, limits, prices) and the labels of input stages: two recipes may give two models the
    same label, and the teacher's digest distinguishes them.

    Args:
        teacher: the teacher with its options.
        use: the name by which a recipe selects the teacher, such as `openai`.
    """
    excluded = {name for annotation in (type(Runtime), Input) for name, _ in options_with(type(teacher), annotation)}
    options = teacher.model_dump(mode="json", exclude=excluded, exclude_defaults=True)
    identity: dict[str, Any] = {"use": use, "version": teacher.version, "options": options}
    if digest := teacher.digest():
        identity["digest"] = digest
    if teacher.reads_draw:
        identity["reads_draw"] = True
    return canonical_json(identity)


def ledger_key(identity: str, request: Request, *, reads_draw: bool) -> str:
    """Return the key of a request, 64 hexadecimal digits: SHA-256 of the teacher's identity and the request.

    Args:
        identity: the teacher's `teacher_identity`.
        request: the request; its messages, sample and schema are part of the key, and its temperature if it has one.
        reads_draw: include `task` and `draw`, for teachers that are programs and work from these.
    """
    parts: list[Any] = [[[message.role, message.content] for message in request.messages], request.sample, request.schema]
    if reads_draw:
        parts += [request.task, request.draw]
    if request.temperature is not None:
        parts.append({"temperature": float(request.temperature)})
    return sha256(f"{identity}\n{canonical_json(parts)}".encode()).hexdigest()


def request_key(teacher: Teacher, use: str, request: Request) -> str:
    """Return the ledger key of a request to a teacher; requests with equal keys share one reply, paid for once."""
    return ledger_key(teacher_identity(teacher, use), request, reads_draw=teacher.reads_draw)
